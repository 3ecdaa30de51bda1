#include "huggingface/export_tensors.h"

#include <algorithm>

#include "huggingface/export_names.h"
#include "huggingface/place_tensors.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

// Parts of the model that no prefix stands before.
bool IsOfHead(std::string_view published) {
  return published.starts_with("lm_head.") || published.starts_with("classifier.");
}

class Planner {
 public:
  Planner(const TensorStore& store, const Family& family, const PlanOptions& options)
      : store_(store), family_(family), options_(options) {}

  // One tensor, or one for each expert.
  Result<> Add(const std::string& source, const TensorView& view) {
    const FoundRule found = FindRule(family_, source);
    if (found.rule == nullptr) return NoName(source);
    const Rename& rule = *found.rule;
    const std::string first = Filled(rule.to, '#', found.layer);
    std::vector<std::pair<std::string, const TensorView*>> sources = {{source, &view}};
    if (!rule.second.empty()) {
      const std::string second = Filled(rule.second, '#', found.layer);
      const TensorView* other = store_.Find(found.as_second ? first : second);
      if (other == nullptr) return NoName(source);
      if (found.as_second) return Ok{};  // written with the first
      sources.emplace_back(second, other);
    }
    const bool experts = rule.from.find('*') != std::string_view::npos;
    const std::int64_t n_experts = experts ? view.shape[2] : 1;
    for (std::int64_t expert = 0; expert < n_experts; ++expert) {
      const std::string name =
          Filled(Filled(rule.from, '#', found.layer), '*', std::to_string(expert));
      TATARA_RETURN_IF_ERROR(AddOne(rule, name, sources, experts ? expert : -1));
    }
    return Ok{};
  }

  std::vector<ExportTensor> Take() {
    std::ranges::sort(plan_, {}, &ExportTensor::name);
    return std::move(plan_);
  }

 private:
  Error NoName(std::string_view name) const {
    return Refuse("{0}: the tensor '{1}' has no place in the published layout of '{2}' models",
                  store_.path().string(), Printable(name), family_.architecture);
  }

  Result<> AddOne(const Rename& rule, const std::string& name,
                  const std::vector<std::pair<std::string, const TensorView*>>& sources,
                  std::int64_t expert) {
    ExportTensor tensor;
    tensor.name = (IsOfHead(name) ? "" : std::string(options_.prefix)) + name;
    tensor.values = ValueChangeOf(rule.change);
    std::vector<Shape> shapes;
    for (const auto& [source, view] : sources) {
      if (expert >= 0 && (view->n_dims != 3 || view->shape[3] != 1)) return NoName(source);
      Shape shape;
      for (int i = expert >= 0 ? 2 : view->n_dims; i > 0; --i) {
        shape.push_back(view->shape[static_cast<std::size_t>(i - 1)]);
      }
      tensor.parts.push_back(
          {source, view, expert >= 0 ? expert * view->shape[1] : std::int64_t{0}});
      shapes.push_back(std::move(shape));
    }
    auto layout = Layout::OfParts(rule.change, options_.sizes, shapes);
    if (!layout || layout->n_blocks() < 1 || layout->block_values() < 1) {
      return Refuse("{0}: the shape of '{1}' is not what the model's keys say",
                    store_.path().string(), Printable(sources[0].first));
    }
    tensor.layout = std::move(*layout);
    // What is written under this name is read as this tensor, in this way or another.
    const auto place = FindPlace(family_, tensor.name);
    if (!place || place->rule->from != rule.from) return NoName(sources[0].first);
    plan_.push_back(std::move(tensor));
    return Ok{};
  }

  const TensorStore& store_;
  const Family& family_;
  const PlanOptions& options_;
  std::vector<ExportTensor> plan_;
};

// What config.json says of positions.
bool IsSaidByConfig(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

// Whole rows of a part, or all of a vector; `out` has what is asked for of them.
Result<> ReadPart(const ExportPart& part, std::int64_t first_value, const TensorStore& store,
                  const HfExportOptions& options, std::vector<float>& out) {
  const TensorView& view = *part.view;
  const std::int64_t n_cols = view.n_cols();
  const std::int64_t skipped = first_value % n_cols;
  const std::int64_t first = part.first_row + first_value / n_cols;
  const auto wanted = static_cast<std::int64_t>(out.size());
  const std::int64_t n_rows = (skipped + wanted + n_cols - 1) / n_cols;
  if (first + n_rows > view.n_rows()) {
    return Refuse("{0}: the shape of '{1}' is not what the model's keys say", store.path().string(),
                  Printable(part.source));
  }
  out.resize(static_cast<std::size_t>(n_rows * n_cols));
  const auto row_bytes = static_cast<std::size_t>(numerics::StorageBytes(view.dtype, n_cols));
  numerics::Dequantize(view.dtype,
                       view.data.subspan(static_cast<std::size_t>(first) * row_bytes,
                                         static_cast<std::size_t>(n_rows) * row_bytes),
                       out);
  if (options.change_rows) {
    TATARA_RETURN_IF_ERROR(options.change_rows(part.source, first, out));
  }
  out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(skipped));
  return Ok{};
}

}  // namespace

Result<std::vector<ExportTensor>> PlanTensors(const TensorStore& store, const Family& family,
                                              const PlanOptions& options) {
  Planner planner(store, family, options);
  for (const auto& [name, view] : store.tensors()) {
    if (!IsSaidByConfig(name)) TATARA_RETURN_IF_ERROR(planner.Add(name, view));
  }
  const TensorView* embedding = store.Find("token_embd.weight");
  if (options.separate_head && store.Find("output.weight") == nullptr && embedding != nullptr) {
    TATARA_RETURN_IF_ERROR(planner.Add("output.weight", *embedding));
  }
  return planner.Take();
}

Result<> ReadBlocks(const ExportTensor& tensor, std::int64_t first, const TensorStore& store,
                    const HfExportOptions& options, std::span<float> out) {
  const Layout& layout = tensor.layout;
  const std::int64_t n_blocks = std::ssize(out) / layout.block_values();
  std::vector<std::vector<float>> parts;
  for (std::size_t i = 0; i < tensor.parts.size(); ++i) {
    const std::int64_t size = layout.block_values(static_cast<int>(i));
    std::vector<float>& values = parts.emplace_back(static_cast<std::size_t>(n_blocks * size));
    TATARA_RETURN_IF_ERROR(ReadPart(tensor.parts[i], first * size, store, options, values));
    if (!ToPublished(tensor.values, values)) {
      return Refuse("{0}: tensor '{1}' holds values that its published form can not",
                    store.path().string(), Printable(tensor.parts[i].source));
    }
  }
  std::ranges::fill(out, 0.0F);  // rows that nobody reads
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    for (const Run& run : layout.runs()) {
      const float* from = parts[static_cast<std::size_t>(run.part)].data() +
                          block * layout.block_values(run.part) + run.to;
      float* to = out.data() + block * layout.block_values() + run.from;
      for (std::int64_t i = 0; i < run.n; ++i) to[i * run.from_stride] = from[i * run.to_stride];
    }
  }
  return Ok{};
}

}  // namespace tatara::weights
