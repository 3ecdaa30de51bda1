// Gemma 4 (text). Norms are published as they are; what differs between layers of a window and
// global ones is said by kind, and in GGUF layer by layer.
#include "huggingface/families/list.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

constexpr Rename kParts[] = {
    {"embed_tokens_per_layer.weight", "per_layer_token_embd.weight"},
    {"per_layer_model_projection.weight", "per_layer_model_proj.weight"},
    {"per_layer_projection_norm.weight", "per_layer_proj_norm.weight"},
    {"layers.#.input_layernorm.weight", "blk.#.attn_norm.weight"},
    {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight"},
    {"layers.#.pre_feedforward_layernorm.weight", "blk.#.ffn_norm.weight"},
    {"layers.#.pre_feedforward_layernorm_2.weight", "blk.#.pre_ffw_norm_2.weight"},
    {"layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight"},
    {"layers.#.post_feedforward_layernorm_1.weight", "blk.#.post_ffw_norm_1.weight"},
    {"layers.#.post_feedforward_layernorm_2.weight", "blk.#.post_ffw_norm_2.weight"},
    {"layers.#.per_layer_input_gate.weight", "blk.#.inp_gate.weight"},
    {"layers.#.per_layer_projection.weight", "blk.#.proj.weight"},
    {"layers.#.post_per_layer_input_norm.weight", "blk.#.post_norm.weight"},
    {"layers.#.layer_scalar", "blk.#.layer_output_scale.weight"},
    {"layers.#.router.proj.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.router.scale", "blk.#.ffn_gate_inp.scale"},
    {"layers.#.router.per_expert_scale", "blk.#.ffn_down_exps.scale"},
    {"layers.#.experts.gate_up_proj", "blk.#.ffn_gate_up_exps.weight"},
    {"layers.#.experts.down_proj", "blk.#.ffn_down_exps.weight"},
};
const std::span<const Rename> kAll[] = {kParts, kDecoderEnds, kAttention, kHeadNorms, kGatedFfn};

// What global layers have of their own.
struct GlobalLayers {
  std::int64_t head_dim = 0, n_kv_heads = 0;
};

Error Unlike(const Config& c, std::string_view key, std::string_view layer) {
  return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                c.origin(), key, "'" + Printable(layer) + "'");
}

// Older files say it by kind, newer ones layer by layer.
Result<GlobalLayers> ReadGlobalLayers(const Config& c, const std::vector<bool>& windowed) {
  constexpr std::int64_t kHeadDim = 512;
  GlobalLayers global;
  TATARA_TRY(const bool keys_are_values, c.BoolOr("attention_k_eq_v", false));
  TATARA_TRY(global.n_kv_heads, SizeOf(c, "num_key_value_heads"));
  const Config by_layer = c.Object("per_layer_config");
  if (by_layer.Keys().empty()) {
    TATARA_TRY(global.head_dim, SizeOf(c, "global_head_dim", kHeadDim));
    if (keys_are_values) {
      TATARA_TRY(global.n_kv_heads, SizeOf(c, "num_global_key_value_heads", global.n_kv_heads));
    }
    return global;
  }
  TATARA_TRY(const std::int64_t head_dim, SizeOf(c, "head_dim"));
  std::int64_t n_seen = 0;
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    const std::string key = std::to_string(i);
    const Config layer = by_layer.Object(key);
    for (const std::string& name : layer.Keys()) {
      if (windowed[i] || (name != "head_dim" && name != "num_key_value_heads")) {
        return Unlike(c, "per_layer_config", key);
      }
    }
    if (windowed[i]) continue;
    GlobalLayers found;
    TATARA_TRY(found.head_dim, SizeOf(layer, "head_dim", head_dim));
    TATARA_TRY(const std::int64_t n_kv_heads, SizeOf(c, "num_key_value_heads"));
    TATARA_TRY(found.n_kv_heads, SizeOf(layer, "num_key_value_heads", n_kv_heads));
    const bool alike = found.head_dim == global.head_dim && found.n_kv_heads == global.n_kv_heads;
    if (n_seen++ > 0 && !alike) return Unlike(c, "per_layer_config", key);
    global = found;
  }
  if (n_seen == 0) global.head_dim = head_dim;
  return global;
}

Result<std::vector<bool>> ReadKinds(const Config& c, std::int64_t n_layers) {
  constexpr std::int64_t kPeriod = 6, kLayersMax = 1 << 14;
  TATARA_TRY(const auto kinds, c.StringsOrNone("layer_types"));
  std::vector<bool> windowed;
  for (const std::string& kind : kinds) {
    if (kind != "full_attention" && kind != "sliding_attention") {
      return Unlike(c, "layer_types", kind);
    }
    windowed.push_back(kind == "sliding_attention");
  }
  if (n_layers > kLayersMax) {
    return Refuse("{0}: the key '{1}' is {2}; 1 to {3} are accepted", c.origin(),
                  "num_hidden_layers", n_layers, kLayersMax);
  }
  for (std::int64_t i = 0; kinds.empty() && i < n_layers; ++i) {
    windowed.push_back((i + 1) % kPeriod != 0);
  }
  if (std::ssize(windowed) != n_layers) {
    return Refuse("{0}: the key '{1}' has {2} values, expected {3}", c.origin(), "layer_types",
                  windowed.size(), n_layers);
  }
  if (!windowed.empty()) windowed.back() = false;  // as the published code has it
  return windowed;
}

// Divisors that leave all but the first pairs of a global head unturned.
Result<> WriteRopes(KeyWriter& keys, std::int64_t global_size, std::int64_t window_size) {
  const Config& c = keys.config;
  constexpr float kUnturned = 1e30F;
  const Config ropes = c.Object("rope_parameters");
  const Config window = ropes.Object("sliding_attention"), global = ropes.Object("full_attention");
  for (const Config* rope : {&window, &global}) {
    TATARA_TRY(const std::string type, rope->StringOr("rope_type", "default"));
    TATARA_TRY(const double factor, rope->FloatOr("factor", 1));
    if ((type != "default" && (rope == &window || type != "proportional")) || factor != 1) {
      return Unlike(c, "rope_type", type);
    }
  }
  TATARA_TRY(const double base, global.FloatOr("rope_theta", 1e6));
  TATARA_TRY(const double window_base, window.FloatOr("rope_theta", 1e4));
  const double all = ropes.Has("full_attention") ? 1.0 : 0.25;
  TATARA_TRY(const double share, global.FloatOr("partial_rotary_factor", all));
  TATARA_TRY(const double window_share, window.FloatOr("partial_rotary_factor", 1));
  if (!(share > 0 && share <= 1) || window_share != 1) {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  c.origin(), "partial_rotary_factor", share);
  }
  keys.Set("rope.freq_base", base);
  keys.Set("rope.freq_base_swa", window_base);
  keys.SetInt("rope.dimension_count", global_size);
  keys.SetInt("rope.dimension_count_swa", window_size);
  MadeTensor& divisors = keys.made.emplace_back();
  divisors.name = "rope_freqs.weight";
  const auto n_turned = static_cast<std::int64_t>(share * static_cast<double>(global_size)) / 2;
  for (std::int64_t i = 0; i < global_size / 2; ++i) {
    divisors.values.push_back(i < n_turned ? 1.0F : kUnturned);
  }
  return Ok{};
}

Result<> WriteLayers(KeyWriter& keys) {
  const Config& c = keys.config;
  FamilySizes& s = keys.sizes;
  TATARA_TRY(const std::vector<bool> windowed, ReadKinds(c, s.n_layers));
  TATARA_TRY(const GlobalLayers global, ReadGlobalLayers(c, windowed));
  TATARA_TRY(const std::int64_t n_shared, c.IntOr("num_kv_shared_layers", 0));
  TATARA_TRY(const bool doubled, c.BoolOr("use_double_wide_mlp", false));
  TATARA_TRY(const std::int64_t n_ff, SizeOf(c, "intermediate_size"));
  std::vector<std::int64_t> n_kv_heads, inner;
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    n_kv_heads.push_back(windowed[i] ? s.n_kv_heads : global.n_kv_heads);
    const bool shares = static_cast<std::int64_t>(i) >= s.n_layers - n_shared;
    inner.push_back(doubled && shares ? 2 * n_ff : n_ff);
  }
  keys.Set("attention.head_count_kv", n_kv_heads);
  keys.Set("feed_forward_length", inner);
  keys.Set("attention.sliding_window_pattern", windowed);
  keys.Set("attention.shared_kv_layers", n_shared);
  keys.SetInt("attention.key_length", global.head_dim);
  keys.SetInt("attention.value_length", global.head_dim);
  keys.SetInt("attention.key_length_swa", s.head_dim);
  keys.SetInt("attention.value_length_swa", s.head_dim);
  return WriteRopes(keys, global.head_dim, s.head_dim);
}

Result<> WriteExperts(KeyWriter& keys) {
  TATARA_TRY(const bool experts, keys.config.BoolOr("enable_moe_block", false));
  if (!experts) return Ok{};
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_experts", "expert_count"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("top_k_experts", "expert_used_count"));
  return keys.NeedInt("moe_intermediate_size", "expert_feed_forward_length");
}

Result<> Gemma4(KeyWriter& keys) {
  constexpr std::int64_t kLayerInputs = 256;
  const Config& c = keys.config;
  FamilySizes& s = keys.sizes;
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_activation", {"gelu_pytorch_tanh"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention_bias", false));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("use_bidirectional_attention", {"vision"}));
  TATARA_TRY(s.n_embd, SizeOf(c, "hidden_size"));
  TATARA_TRY(s.n_layers, SizeOf(c, "num_hidden_layers"));
  TATARA_TRY(s.n_heads, SizeOf(c, "num_attention_heads"));
  TATARA_TRY(s.n_kv_heads, SizeOf(c, "num_key_value_heads"));
  TATARA_TRY(s.head_dim, SizeOf(c, "head_dim"));
  keys.SetInt("embedding_length", s.n_embd);
  keys.SetInt("block_count", s.n_layers);
  keys.SetInt("attention.head_count", s.n_heads);
  TATARA_RETURN_IF_ERROR(keys.NeedInt("max_position_embeddings", "context_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("sliding_window", "attention.sliding_window"));
  TATARA_RETURN_IF_ERROR(keys.CopyInt("vocab_size", "vocab_size"));
  TATARA_TRY(const std::int64_t n_inputs, c.IntOr("hidden_size_per_layer_input", kLayerInputs));
  keys.Set("embedding_length_per_layer_input", n_inputs);
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("final_logit_softcapping", "final_logit_softcapping"));
  TATARA_RETURN_IF_ERROR(WriteNormKey(keys));
  TATARA_RETURN_IF_ERROR(WriteLayers(keys));
  return WriteExperts(keys);
}

constexpr std::string_view kNames[] = {"Gemma4ForCausalLM", "Gemma4TextModel",
                                       "Gemma4ForConditionalGeneration"};

}  // namespace

const Family kGemma4Family = {kNames, "gemma4", kAll, Gemma4};

}  // namespace tatara::weights
