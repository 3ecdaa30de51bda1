#include "huggingface/export_tensors.h"

#include <algorithm>
#include <charconv>

#include "huggingface/place_tensors.h"
#include "utf8.h"

namespace tatara::weights {
namespace {

// The layer in `name` where it meets `pattern`, whose '#' stands for it; -1 where it has none.
bool MeetsPattern(std::string_view pattern, std::string_view name, std::string& layer) {
  const std::size_t at = pattern.find('#');
  if (at == std::string_view::npos) return pattern == name;
  const std::string_view before = pattern.substr(0, at), after = pattern.substr(at + 1);
  if (!name.starts_with(before) || !name.ends_with(after) ||
      name.size() <= before.size() + after.size()) {
    return false;
  }
  const std::string_view number =
      name.substr(before.size(), name.size() - before.size() - after.size());
  if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) return false;
  layer = number;
  return true;
}

std::string Filled(std::string_view pattern, char sign, const std::string& with) {
  std::string out(pattern);
  if (const std::size_t at = out.find(sign); at != std::string::npos) out.replace(at, 1, with);
  return out;
}

struct Found {
  const Rename* rule = nullptr;
  std::string published;  // '*' still in it
};

Found FindName(const Family& family, std::string_view name) {
  for (const std::span<const Rename> rules : family.renames) {
    for (const Rename& rule : rules) {
      std::string layer;
      if (rule.to.empty() || !MeetsPattern(rule.to, name, layer)) continue;
      const bool head = rule.change == Change::kDropTied;
      return {&rule, (head ? "" : "model.") + Filled(rule.from, '#', layer)};
    }
  }
  return {};
}

Error NoName(const TensorStore& store, std::string_view name, std::string_view architecture) {
  return Refuse("{0}: the tensor '{1}' has no place in the published layout of '{2}' models",
                store.path().string(), Printable(name), architecture);
}

// Rows that are turned are turned a head at a time; a vector's rows are its numbers.
Result<> SetBlocks(const TensorStore& store, const FamilySizes& sizes, ExportTensor& tensor) {
  const bool pairs = tensor.change == Change::kPairs || tensor.change == Change::kKeyPairs;
  if (!pairs) return Ok{};
  if (tensor.shape.size() == 1) std::swap(tensor.n_rows, tensor.n_cols);
  tensor.rows_of_block = sizes.head_dim;
  const std::int64_t n_heads = tensor.change == Change::kPairs ? sizes.n_heads : sizes.n_kv_heads;
  const bool fits = sizes.head_dim % 2 == 0 && tensor.n_rows == n_heads * sizes.head_dim &&
                    tensor.n_cols % numerics::TraitsOf(tensor.view->dtype).block_elements == 0;
  if (fits) return Ok{};
  return Refuse("{0}: tensor '{1}' has {2} rows, expected {3} heads of {4}", store.path().string(),
                Printable(tensor.source), tensor.n_rows, n_heads, sizes.head_dim);
}

bool CanBeWritten(Change change) {
  switch (change) {
    case Change::kKeep:
    case Change::kDropTied:
    case Change::kPairs:
    case Change::kKeyPairs:
    case Change::kPlusOne:
      return true;
    default:
      return false;
  }
}

// One tensor, or one for each expert.
Result<> AddTensor(const TensorStore& store, const Family& family, const FamilySizes& sizes,
                   const std::string& source, const TensorView& view,
                   std::vector<ExportTensor>& plan) {
  const Found found = FindName(family, source);
  if (found.rule == nullptr || !CanBeWritten(found.rule->change)) {
    return NoName(store, source, family.architecture);
  }
  const bool experts = found.published.find('*') != std::string::npos;
  const std::int64_t n_parts = experts ? view.shape[2] : 1;
  if (view.shape[3] != 1 || (!experts && view.shape[2] != 1)) {
    return NoName(store, source, family.architecture);
  }
  for (std::int64_t part = 0; part < n_parts; ++part) {
    ExportTensor& tensor = plan.emplace_back();
    tensor.name = Filled(found.published, '*', std::to_string(part));
    tensor.source = source;
    tensor.view = &view;
    tensor.n_rows = view.n_rows() / n_parts;
    tensor.n_cols = view.n_cols();
    tensor.first_row = part * tensor.n_rows;
    tensor.change = found.rule->change;
    tensor.shape = {tensor.n_cols};
    if (view.n_dims > 1) tensor.shape.insert(tensor.shape.begin(), tensor.n_rows);
    const auto place = FindPlace(family, tensor.name);
    if (!place || place->rule != found.rule || place->to != source) {
      return NoName(store, source, family.architecture);
    }
    TATARA_RETURN_IF_ERROR(SetBlocks(store, sizes, tensor));
  }
  return Ok{};
}

}  // namespace

Result<std::vector<ExportTensor>> PlanTensors(const TensorStore& store, const Family& family,
                                              const FamilySizes& sizes, bool separate_head) {
  std::vector<ExportTensor> plan;
  for (const auto& [name, view] : store.tensors()) {
    if (name == "rope_freqs.weight") continue;  // config.json says it
    TATARA_RETURN_IF_ERROR(AddTensor(store, family, sizes, name, view, plan));
  }
  const TensorView* embedding = store.Find("token_embd.weight");
  if (separate_head && store.Find("output.weight") == nullptr && embedding != nullptr) {
    TATARA_RETURN_IF_ERROR(AddTensor(store, family, sizes, "output.weight", *embedding, plan));
  }
  std::ranges::sort(plan, {}, &ExportTensor::name);
  return plan;
}

Result<> ReadRows(const ExportTensor& tensor, std::int64_t row, const HfExportOptions& options,
                  std::span<float> out) {
  const TensorView& view = *tensor.view;
  const std::int64_t first = tensor.first_row + row;
  const auto row_bytes =
      static_cast<std::size_t>(numerics::StorageBytes(view.dtype, tensor.n_cols));
  const auto n_cols = static_cast<std::size_t>(tensor.n_cols);
  const std::size_t n_rows = out.size() / n_cols;
  numerics::Dequantize(
      view.dtype,
      view.data.subspan(static_cast<std::size_t>(first) * row_bytes, n_rows * row_bytes), out);
  if (options.change_rows) {
    TATARA_RETURN_IF_ERROR(options.change_rows(tensor.source, first, out));
  }
  if (tensor.change == Change::kPlusOne) {
    for (float& value : out) value -= 1;
  }
  if (tensor.rows_of_block == 1) return Ok{};
  // Neighbours (2i, 2i + 1) of a head back to halves (i, i + D/2).
  const auto head = static_cast<std::size_t>(tensor.rows_of_block);
  const std::vector<float> turned(out.begin(), out.end());
  for (std::size_t r = 0; r < n_rows; ++r) {
    const std::size_t in_head = r % head;
    const std::size_t to = r - in_head + in_head / 2 + in_head % 2 * (head / 2);
    std::copy_n(turned.begin() + static_cast<std::ptrdiff_t>(r * n_cols), n_cols,
                out.begin() + static_cast<std::ptrdiff_t>(to * n_cols));
  }

  return Ok{};
}

}  // namespace tatara::weights
