// What the configurations of exported models are written with. Thread safety: one thread.
#pragma once

#include <nlohmann/json.hpp>

#include "huggingface/family.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

using OrderedJson = nlohmann::ordered_json;

// Lists of one value a layer are made before the count is checked.
inline constexpr std::int64_t kExportLayersMax = 1 << 14;

// A model's keys, without the architecture before them, and the configuration that they become.
class ExportKeys {
 public:
  ExportKeys(const TensorStore& store, OrderedJson& config);

  const TensorStore& store;
  OrderedJson& config;

  const Metadata& metadata() const { return store.metadata(); }
  std::string Full(std::string_view name) const { return prefix_ + std::string(name); }
  bool Has(std::string_view name) const { return metadata().Has(Full(name)); }
  bool HasTensor(std::string_view name) const { return store.Find(name) != nullptr; }
  // `otherwise` where the key is absent or no such number.
  std::int64_t Int(std::string_view name, std::int64_t otherwise = 0) const;
  double Float(std::string_view name, double otherwise = 0) const;
  bool Bool(std::string_view name, bool otherwise) const;
  std::int64_t n_layers() const;  // that are run, at most kExportLayersMax
  // A number under its published name, where the model has it.
  void Copy(std::string_view from, const char* to) { CopyTo(from, to, config); }
  void CopyTo(std::string_view from, const char* to, OrderedJson& object) const;

 private:
  std::string prefix_;
};

struct ExportName {
  std::string_view from;
  const char* to;
};
void CopyAll(ExportKeys& keys, std::initializer_list<ExportName> names);

// Sizes, heads, norm and biases as most decoders say them.
Result<> AddDecoderSizes(ExportKeys& keys);
// rope_theta, partial_rotary_factor and rope_scaling.
Result<> AddRope(ExportKeys& keys);
Result<> AddUsual(ExportKeys& keys);  // the two above, and SiLU
// "layer_types": of every `period` layers the last is "full_attention", others are `other`.
void AddLayerTypes(ExportKeys& keys, std::int64_t period, const char* other = "sliding_attention");
void AddTokenIds(const Metadata& metadata, OrderedJson& config);

struct ExportForm {
  std::string_view architecture, model_class, model_type;
  std::string_view prefix;  // of published names: "model."
  // A key that is there and not 0; the first form that fits counts. Empty: any.
  std::string_view sign;
  bool (*fits)(const TensorStore& store) = nullptr;  // instead of a sign
  Result<> (*add)(ExportKeys& keys) = nullptr;
  // Keys that say nothing of their own in this architecture.
  std::span<const std::string_view> neutral = {};
};
std::span<const ExportForm> ExportDecoders();
std::span<const ExportForm> ExportEncoders();

}  // namespace tatara::weights
