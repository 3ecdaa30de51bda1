#include "huggingface/export_config.h"

#include <algorithm>

#include "huggingface/config.h"
#include "huggingface/sidecars.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/hf_export.h"

namespace tatara::weights {
namespace {

bool IsZero(const Metadata& metadata, const std::string& key) {
  const auto number = metadata.Float(key);
  return number.ok() && *number == 0;
}

// Keys that say nothing of their own, or nothing where they have this value.
bool IsNeutral(const ExportKeys& keys, const ExportForm& form, std::string_view name) {
  if (name == "tensor_data_layout" || name == "rope.scaling.finetuned" || name == "vocab_size") {
    return true;
  }
  if (std::ranges::find(form.neutral, name) != form.neutral.end()) return true;
  const Metadata& metadata = keys.metadata();
  const std::string full = keys.Full(name);
  const auto text = metadata.String(full);
  if (name == "rope.scaling.original_context_length") {
    const auto type = metadata.StringOr(keys.Full("rope.scaling.type"), "none");
    return type.ok() && (*type == "linear" || *type == "none") &&
           !keys.HasTensor("rope_factors_long.weight");
  }
  if (name == "rope.scaling.factor" || name == "rope.scaling.attn_factor") {
    const auto number = metadata.Float(full);
    return number.ok() && *number == 1;
  }
  if (name == "rope.scaling.type" && text.ok()) {
    return *text == "none" || (*text == "longrope" && keys.HasTensor("rope_factors_long.weight"));
  }
  for (const std::string_view off :
       {"expert_count", "expert_used_count", "attention.sliding_window", "attention.q_lora_rank",
        "expert_gating_func", "expert_weights_scale", "nextn_predict_layers", "pooling_type"}) {
    if (name == off) return IsZero(metadata, full);
  }
  return false;
}

// Numbers as GGUF keeps them, in f32; one value for all layers is as good as one for each.
bool SameValue(const Metadata& a, const Metadata& b, const std::string& key) {
  if (const auto x = a.Float(key), y = b.Float(key); x.ok() && y.ok()) {
    return static_cast<float>(*x) == static_cast<float>(*y);
  }
  if (const auto x = a.String(key), y = b.String(key); x.ok() && y.ok()) return *x == *y;
  if (const auto x = a.Ints(key), y = b.Ints(key); x && y) return *x == *y;
  if (const auto x = a.Ints(key); x && b.Int(key).ok()) {
    return std::ranges::all_of(*x, [&](std::int64_t v) { return v == *b.Int(key); });
  }
  if (const auto y = b.Ints(key); y && a.Int(key).ok()) {
    return std::ranges::all_of(*y, [&](std::int64_t v) { return v == *a.Int(key); });
  }
  const auto x = a.Bool(key), y = b.Bool(key);
  return x.ok() && y.ok() && *x == *y;
}

// Divisors of positions, which no tensor of the folder has.
Result<> CheckMade(const TensorStore& store, const std::vector<MadeTensor>& made,
                   bool has_other_scaling) {
  for (const char* name :
       {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}) {
    const TensorView* view = store.Find(name);
    const auto back = std::ranges::find(made, name, &MadeTensor::name);
    if (view == nullptr && back == made.end()) continue;
    if (view != nullptr && back == made.end() && has_other_scaling) continue;
    std::vector<float> values;
    if (view != nullptr) {
      values.resize(static_cast<std::size_t>(view->n_rows() * view->n_cols()));
      numerics::Dequantize(view->dtype, view->data, values);
    }
    if (back == made.end() || values != back->values) {
      return Refuse("{0}: the divisors in '{1}' follow from no published scaling known here",
                    store.path().string(), name);
    }
  }
  return Ok{};
}

}  // namespace

std::vector<std::string_view> ExportableArchitectures() {
  std::vector<std::string_view> names;
  for (const std::span<const ExportForm> forms : {ExportDecoders(), ExportEncoders()}) {
    for (const ExportForm& form : forms) names.push_back(form.architecture);
  }
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  return names;
}

Result<const ExportForm*> FindExportForm(const TensorStore& store) {
  const Metadata& metadata = store.metadata();
  TATARA_TRY(const std::string architecture, metadata.String("general.architecture"));
  OrderedJson unused;
  const ExportKeys keys(store, unused);
  for (const std::span<const ExportForm> forms : {ExportDecoders(), ExportEncoders()}) {
    for (const ExportForm& form : forms) {
      if (form.architecture != architecture) continue;
      if (!form.sign.empty() && keys.Int(form.sign) == 0) continue;
      if (form.fits != nullptr && !form.fits(store)) continue;
      return &form;
    }
  }
  return Refuse("{0}: '{1}' models cannot be written in a published layout here", metadata.origin(),
                Printable(architecture));
}

Result<OrderedJson> MakeConfig(const TensorStore& store, const ExportForm& form,
                               const ConfigOptions& options) {
  OrderedJson config = {{"architectures", {form.model_class}}, {"model_type", form.model_type}};
  ExportKeys keys(store, config);
  TATARA_RETURN_IF_ERROR(form.add(keys));
  if (const TensorView* embedding = store.Find("token_embd.weight"); embedding != nullptr) {
    config["vocab_size"] = embedding->n_rows();
  }
  if (const auto sizes = store.metadata().Ints(keys.Full("embedding.matryoshka_dimensions"))) {
    config["matryoshka_dimensions"] = *sizes;
  } else if (keys.Int("embedding.matryoshka_least") == 1) {
    config["is_matryoshka"] = true;
  }
  config["tie_word_embeddings"] = options.tied_head;
  config["torch_dtype"] = options.dtype_name;
  AddTokenIds(store.metadata(), config);
  return config;
}

Result<ReadBack> CheckReadsBack(const TensorStore& store, const ExportForm& form,
                                const std::filesystem::path& folder) {
  const Metadata& keys = store.metadata();
  TATARA_TRY(const Config config, Config::Read(folder / "config.json", kConfigBytesMax));
  ReadBack read{.family = FindFamily(form.model_class, config)};
  if (read.family == nullptr) {
    return Refuse("{0}: the architecture '{1}' is not known here", config.origin(),
                  form.model_class);
  }
  const std::string_view architecture = read.family->architecture;
  Metadata back(folder.string());
  KeyWriter writer(config, architecture, back);
  TATARA_RETURN_IF_ERROR(read.family->write_keys(writer));
  TATARA_RETURN_IF_ERROR(ReadSentenceFiles(folder, architecture, back));
  TATARA_RETURN_IF_ERROR(ReadVectorSizes(config, architecture, back));
  read.sizes = writer.sizes;
  OrderedJson unused;
  const ExportKeys names(store, unused);
  const std::string prefix = std::string(architecture) + ".";
  for (const auto& [key, value] : keys.values()) {
    if (!key.starts_with(prefix) || IsNeutral(names, form, key.substr(prefix.size()))) continue;
    if (!SameValue(keys, back, key)) {
      return Refuse("{0}: the key '{1}' has no place in the published layout of '{2}'",
                    keys.origin(), Printable(key), form.model_class);
    }
  }
  const bool scaled = back.Has(prefix + "rope.scaling.type");
  TATARA_RETURN_IF_ERROR(CheckMade(store, writer.made, scaled));
  return read;
}

}  // namespace tatara::weights
