// PEFT's form of an adapter: the inverse of adapter_folder.cc.
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "huggingface/export_config.h"
#include "huggingface/export_files.h"
#include "huggingface/export_names.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/peft_export.h"

namespace tatara::weights {
namespace {

using Json = nlohmann::ordered_json;
using numerics::DType;

constexpr std::string_view kWeight = ".weight";

struct Form {
  const Family* family = nullptr;
  std::string prefix;
  std::int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
};

Result<Form> FormOf(const TensorStore& model) {
  TATARA_TRY(const ExportForm* known, FindExportForm(model));
  Form form;
  for (const Family* family : FamiliesOfArchitecture(std::string(known->architecture))) {
    const bool is_it = std::ranges::find(family->names, known->model_class) != family->names.end();
    if (form.family == nullptr || is_it) form.family = family;
    if (is_it) break;
  }
  if (form.family == nullptr) {
    return Refuse("{0}: '{1}' models cannot be written in a published layout here",
                  model.metadata().origin(), known->architecture);
  }
  form.prefix = "base_model.model." + std::string(known->prefix);
  const Metadata& keys = model.metadata();
  const std::string architecture(known->architecture);
  TATARA_TRY(form.n_heads, keys.Int(architecture + ".attention.head_count"));
  TATARA_TRY(form.n_kv_heads, keys.IntOr(architecture + ".attention.head_count_kv", form.n_heads));
  TATARA_TRY(const std::int64_t n_embd, keys.Int(architecture + ".embedding_length"));
  if (form.n_heads < 1 || form.n_kv_heads < 1) {
    return Refuse("{0}: the key '{1}' is {2}", keys.origin(),
                  architecture + ".attention.head_count", form.n_heads);
  }
  TATARA_TRY(form.head_dim,
             keys.IntOr(architecture + ".attention.key_length", n_embd / form.n_heads));
  return form;
}

// Rows from neighbours back to halves of a head.
std::vector<std::byte> TurnedBack(const std::vector<std::byte>& rows, std::int64_t n_rows,
                                  std::int64_t head) {
  std::vector<std::byte> out(rows.size());
  const std::size_t row_bytes = rows.size() / static_cast<std::size_t>(n_rows);
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::int64_t in_head = r % head;
    const std::int64_t to = r - in_head + in_head / 2 + in_head % 2 * (head / 2);
    std::memcpy(out.data() + static_cast<std::size_t>(to) * row_bytes,
                rows.data() + static_cast<std::size_t>(r) * row_bytes, row_bytes);
  }
  return out;
}

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;
};

class Maker {
 public:
  Maker(const AdapterFile& adapter, const TensorStore& model, const PeftExportOptions& options)
      : adapter_(adapter), model_(model), options_(options) {}

  Result<PeftFiles> Make() {
    TATARA_TRY(form_, FormOf(model_));
    for (const auto& [name, part] : adapter_.parts) TATARA_RETURN_IF_ERROR(Add(name, part));
    std::ranges::sort(tensors_, {}, &Tensor::name);
    return PeftFiles{Config(), Tensors()};
  }

 private:
  Result<> Add(const std::string& name, const AdapterPart& part) {
    const bool plain = part.a.dtype == DType::kF32 && part.b.dtype == DType::kF32 &&
                       part.rank() == adapter_.parts.begin()->second.rank() &&
                       part.magnitude.empty() == !adapter_.is_dora();
    const FoundRule found = FindRule(*form_.family, name);
    const Change change = found.rule == nullptr ? Change::kDrop : found.rule->change;
    const bool turned = change == Change::kPairs || change == Change::kKeyPairs;
    const bool kept =
        change == Change::kKeep || change == Change::kTranspose || change == Change::kDropTied;
    const std::int64_t rows =
        (change == Change::kPairs ? form_.n_heads : form_.n_kv_heads) * form_.head_dim;
    if (!plain || !(turned || kept) || (turned && part.b.n_rows != rows)) {
      return Refuse("{0}: the adapter's change of '{1}' has no published form",
                    adapter_.path.string(), Printable(name));
    }
    std::string module = Filled(found.rule->from, '#', found.layer);
    if (module.ends_with(kWeight)) module.resize(module.size() - kWeight.size());
    const std::string whole = form_.prefix + module;
    // PEFT asks whether a module's name ends with this after a dot.
    const std::size_t layer = module.find("." + found.layer + ".");
    targets_.insert(found.layer.empty() || layer == std::string::npos
                        ? module
                        : module.substr(layer + found.layer.size() + 2));
    fan_in_fan_out_ |= change == Change::kTranspose;
    std::vector<std::byte> b = part.b.data;
    auto magnitude = std::vector<std::byte>(part.magnitude.size() * sizeof(float));
    if (!magnitude.empty()) std::memcpy(magnitude.data(), part.magnitude.data(), magnitude.size());
    if (turned) {
      b = TurnedBack(b, part.b.n_rows, form_.head_dim);
      if (!magnitude.empty()) magnitude = TurnedBack(magnitude, part.b.n_rows, form_.head_dim);
    }
    tensors_.push_back({whole + ".lora_A.weight", {part.a.n_rows, part.a.n_cols}, part.a.data});
    tensors_.push_back({whole + ".lora_B.weight", {part.b.n_rows, part.b.n_cols}, std::move(b)});
    if (!magnitude.empty()) {
      tensors_.push_back({whole + ".lora_magnitude_vector", {part.b.n_rows}, std::move(magnitude)});
    }
    return Ok{};
  }

  std::string Config() const {
    Json config = {{"peft_type", "LORA"},
                   {"task_type", "CAUSAL_LM"},
                   {"base_model_name_or_path", options_.base},
                   {"r", adapter_.parts.begin()->second.rank()},
                   {"lora_alpha", options_.alpha},
                   {"lora_dropout", options_.dropout},
                   {"target_modules", targets_},
                   {"bias", "none"},
                   {"fan_in_fan_out", fan_in_fan_out_},
                   {"use_dora", adapter_.is_dora()},
                   {"use_rslora", false},
                   {"inference_mode", true}};
    if (options_.alpha == static_cast<double>(static_cast<std::int64_t>(options_.alpha))) {
      config["lora_alpha"] = static_cast<std::int64_t>(options_.alpha);
    }
    return config.dump(2) + "\n";
  }

  std::string Tensors() const {
    Json header = {{"__metadata__", {{"format", "pt"}}}};
    std::uint64_t at = 0;
    for (const Tensor& tensor : tensors_) {
      const std::uint64_t end = at + tensor.data.size();
      header[tensor.name] = {
          {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
      at = end;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string file(8, '\0');
    StoreLe(file.data(), static_cast<std::uint64_t>(text.size()));
    file += text;
    for (const Tensor& tensor : tensors_) file += AsText(tensor.data);
    return file;
  }

  const AdapterFile& adapter_;
  const TensorStore& model_;
  const PeftExportOptions& options_;
  Form form_;
  std::vector<Tensor> tensors_;
  std::set<std::string> targets_;
  bool fan_in_fan_out_ = false;
};

}  // namespace

Result<PeftFiles> MakePeftFiles(const AdapterFile& adapter, const TensorStore& model,
                                const PeftExportOptions& options) {
  if (adapter.parts.empty()) {
    return Refuse("{0}: an adapter without any tensor", adapter.path.string());
  }
  try {
    return Maker(adapter, model, options).Make();
  } catch (const nlohmann::json::exception&) {
    return Refuse("{0}: a key of the model can not be written as JSON", model.path().string());
  }
}

Result<> ExportPeft(const AdapterFile& adapter, const TensorStore& model,
                    const std::filesystem::path& folder, const PeftExportOptions& options) {
  TATARA_TRY(const PeftFiles files, MakePeftFiles(adapter, model, options));
  TATARA_TRY(PartialFolder partial, PartialFolder::Create(folder));
  TATARA_RETURN_IF_ERROR(partial.WriteText("adapter_config.json", files.config));
  TATARA_RETURN_IF_ERROR(partial.WriteText("adapter_model.safetensors", files.tensors));
  return partial.Land();
}

}  // namespace tatara::weights
