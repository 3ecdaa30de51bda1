#include "huggingface/export_keys.h"
#include "tatara/base/utf8.h"

#include <algorithm>
#include <cmath>

namespace tatara::weights {
namespace {

// The divisors that Llama 3's scaling gives for each pair (transformers,
// modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<double> Llama3Divisors(double base, std::int64_t n_pairs, double factor) {
  constexpr double kLow = 1, kHigh = 4, kOriginal = 8192;
  std::vector<double> divisors;
  for (std::int64_t i = 0; i < n_pairs; ++i) {
    const double frequency = std::pow(base, -static_cast<double>(i) / static_cast<double>(n_pairs));
    const double turns = kOriginal * frequency / (2 * 3.141592653589793);
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    divisors.push_back(1 / ((1 - smooth) / factor + smooth));
  }
  return divisors;
}

std::vector<float> NumbersOf(const TensorView& view) {
  std::vector<float> values(static_cast<std::size_t>(view.n_rows() * view.n_cols()));
  numerics::Dequantize(view.dtype, view.data, values);
  return values;
}

// GGUF keeps Llama 3's scaling as the divisors that follow from it.
Result<OrderedJson> ScalingOfDivisors(const TensorStore& store, const TensorView& view,
                                      double base) {
  const std::vector<float> found = NumbersOf(view);
  for (const double factor : {8.0, 32.0}) {  // Llama 3.1 and 3.2
    const auto expected = Llama3Divisors(base, std::ssize(found), factor);
    const bool equal = std::ranges::equal(
        found, expected, [](double a, double b) { return std::abs(a - b) <= 1e-4 * b; });
    if (!equal) continue;
    return OrderedJson{{"rope_type", "llama3"},
                       {"factor", factor},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}};
  }
  return Refuse("{0}: the divisors in '{1}' follow from no published scaling known here",
                store.path().string(), view.name);
}

// Two sets of divisors; the long ones hold where the context is longer than the original one.
OrderedJson LongScaling(ExportKeys& keys, const TensorView& longer, const TensorView& shorter) {
  keys.Copy("rope.scaling.original_context_length", "original_max_position_embeddings");
  return {{"rope_type", "longrope"},
          {"type", "longrope"},
          {"long_factor", NumbersOf(longer)},
          {"short_factor", NumbersOf(shorter)},
          {"attention_factor", keys.Float("rope.scaling.attn_factor", 1)}};
}

OrderedJson TypedScaling(const ExportKeys& keys, const std::string& type) {
  OrderedJson scaling = {{"rope_type", type}};
  for (const auto& [from, to] : {std::pair{"rope.scaling.factor", "factor"},
                                 {"rope.scaling.low_freq_factor", "low_freq_factor"},
                                 {"rope.scaling.high_freq_factor", "high_freq_factor"},
                                 {"rope.scaling.yarn_beta_fast", "beta_fast"},
                                 {"rope.scaling.yarn_beta_slow", "beta_slow"},
                                 {"rope.scaling.yarn_attn_factor", "attention_factor"}}) {
    keys.CopyTo(from, to, scaling);
  }
  if (!keys.Bool("rope.scaling.yarn_truncate", true)) scaling["truncate"] = false;
  if (type != "linear") {
    keys.CopyTo("rope.scaling.original_context_length", "original_max_position_embeddings",
                scaling);
  }
  return scaling;
}

}  // namespace

ExportKeys::ExportKeys(const TensorStore& store, OrderedJson& config)
    : store(store), config(config) {
  const auto architecture = store.metadata().String("general.architecture");
  prefix_ = (architecture.ok() ? *architecture : std::string()) + ".";
}

std::int64_t ExportKeys::Int(std::string_view name, std::int64_t otherwise) const {
  const auto value = metadata().IntOr(Full(name), otherwise);
  return value.ok() ? *value : otherwise;
}

double ExportKeys::Float(std::string_view name, double otherwise) const {
  const auto value = metadata().FloatOr(Full(name), otherwise);
  return value.ok() ? *value : otherwise;
}

bool ExportKeys::Bool(std::string_view name, bool otherwise) const {
  const auto value = metadata().BoolOr(Full(name), otherwise);
  return value.ok() ? *value : otherwise;
}

std::int64_t ExportKeys::n_layers() const {
  const std::int64_t all = std::clamp<std::int64_t>(Int("block_count"), 0, kExportLayersMax);
  return all - std::clamp<std::int64_t>(Int("nextn_predict_layers"), 0, all);
}

void ExportKeys::CopyTo(std::string_view from, const char* to, OrderedJson& object) const {
  if (const auto whole = metadata().Int(Full(from)); whole.ok()) {
    object[to] = *whole;
  } else if (const auto number = metadata().Float(Full(from)); number.ok()) {
    object[to] = *number;
  }
}

void CopyAll(ExportKeys& keys, std::initializer_list<ExportName> names) {
  for (const ExportName& name : names) keys.Copy(name.from, name.to);
}

Result<> AddDecoderSizes(ExportKeys& keys) {
  const Metadata& metadata = keys.metadata();
  OrderedJson& config = keys.config;
  TATARA_TRY(const std::int64_t n_embd, metadata.Int(keys.Full("embedding_length")));
  TATARA_TRY(const std::int64_t n_heads, metadata.Int(keys.Full("attention.head_count")));
  if (n_heads < 1) {
    return Refuse("{0}: the key '{1}' is {2}", metadata.origin(), keys.Full("attention.head_count"),
                  n_heads);
  }
  const std::int64_t head = keys.Int("attention.key_length", n_embd / n_heads);
  const std::int64_t value = keys.Int("attention.value_length", head);
  if (value != head || head < 1) {
    return Refuse("{0}: heads of {1} with values of {2} have no place in the published layout",
                  metadata.origin(), head, value);
  }
  config["hidden_size"] = n_embd;
  config["num_hidden_layers"] = keys.n_layers();
  config["num_attention_heads"] = n_heads;
  config["num_key_value_heads"] = keys.Int("attention.head_count_kv", n_heads);
  config["head_dim"] = head;
  CopyAll(keys, {{"feed_forward_length", "intermediate_size"},
                 {"context_length", "max_position_embeddings"},
                 {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
                 {"attention.layer_norm_epsilon", "layer_norm_eps"}});
  if (keys.HasTensor("blk.0.attn_output.bias")) config["attention_bias"] = true;
  if (keys.HasTensor("blk.0.ffn_down.bias")) config["mlp_bias"] = true;
  return Ok{};
}

Result<> AddRope(ExportKeys& keys) {
  OrderedJson& config = keys.config;
  const double base = keys.Float("rope.freq_base", 10000);
  config["rope_theta"] = base;
  const std::int64_t n_rot = keys.Int("rope.dimension_count");
  const std::int64_t head = config.value("head_dim", n_rot);
  if (n_rot != 0 && n_rot != head) {
    config["partial_rotary_factor"] = static_cast<double>(n_rot) / static_cast<double>(head);
  }
  config["rope_scaling"] = nullptr;
  const TensorView* divisors = keys.store.Find("rope_freqs.weight");
  const TensorView* longer = keys.store.Find("rope_factors_long.weight");
  const TensorView* shorter = keys.store.Find("rope_factors_short.weight");
  if (divisors != nullptr) {
    TATARA_TRY(config["rope_scaling"], ScalingOfDivisors(keys.store, *divisors, base));
    return Ok{};
  }
  if (longer != nullptr && shorter != nullptr) {
    config["rope_scaling"] = LongScaling(keys, *longer, *shorter);
    return Ok{};
  }
  TATARA_TRY(const std::string type,
             keys.metadata().StringOr(keys.Full("rope.scaling.type"), "none"));
  if (type != "none") config["rope_scaling"] = TypedScaling(keys, type);
  return Ok{};
}

Result<> AddUsual(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddDecoderSizes(keys));
  TATARA_RETURN_IF_ERROR(AddRope(keys));
  keys.config["hidden_act"] = "silu";
  return Ok{};
}

void AddLayerTypes(ExportKeys& keys, std::int64_t period, const char* other) {
  OrderedJson kinds = OrderedJson::array();
  for (std::int64_t i = 0; i < keys.n_layers(); ++i) {
    kinds.push_back((i + 1) % period == 0 ? "full_attention" : other);
  }
  keys.config["layer_types"] = kinds;
}

void AddTokenIds(const Metadata& metadata, OrderedJson& config) {
  for (const auto& [from, to] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                 {"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                 {"tokenizer.ggml.padding_token_id", "pad_token_id"}}) {
    if (const auto id = metadata.Int(from); id.ok()) config[to] = *id;
  }
}

}  // namespace tatara::weights
