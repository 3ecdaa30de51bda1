// DeepSeek V2, V3 and R1, and what was published in their form (Kimi K2, ...). Rotary pairs lie as
// neighbours on both sides. V2's router is a softmax, V3's a sigmoid with a bias for the choice.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kParts[] = {
    {"layers.#.self_attn.q_proj.weight", "blk.#.attn_q.weight"},
    {"layers.#.self_attn.q_a_proj.weight", "blk.#.attn_q_a.weight"},
    {"layers.#.self_attn.q_a_layernorm.weight", "blk.#.attn_q_a_norm.weight"},
    {"layers.#.self_attn.q_b_proj.weight", "blk.#.attn_q_b.weight"},
    {"layers.#.self_attn.kv_a_proj_with_mqa.weight", "blk.#.attn_kv_a_mqa.weight"},
    {"layers.#.self_attn.kv_a_layernorm.weight", "blk.#.attn_kv_a_norm.weight"},
    {"layers.#.self_attn.kv_b_proj.weight", "blk.#.attn_k_b.weight", Change::kKeysAndValues,
     "blk.#.attn_v_b.weight"},
    // How older GGUF files have it; never made of a folder, since the rule above comes first.
    {"layers.#.self_attn.kv_b_proj.weight", "blk.#.attn_kv_b.weight"},
    {"layers.#.self_attn.o_proj.weight", "blk.#.attn_output.weight"},
    {"layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.mlp.gate.e_score_correction_bias", "blk.#.exp_probs_b.bias"},
    {"layers.#.mlp.experts.*.gate_proj.weight", "blk.#.ffn_gate_exps.weight"},
    {"layers.#.mlp.experts.*.up_proj.weight", "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.*.down_proj.weight", "blk.#.ffn_down_exps.weight"},
    {"layers.#.mlp.shared_experts.gate_proj.weight", "blk.#.ffn_gate_shexp.weight"},
    {"layers.#.mlp.shared_experts.up_proj.weight", "blk.#.ffn_up_shexp.weight"},
    {"layers.#.mlp.shared_experts.down_proj.weight", "blk.#.ffn_down_shexp.weight"},
};
const std::span<const Rename> kAll[] = {kDecoderEnds, kTwoNorms, kParts, kGatedFfn, kLayersAhead};

// Sizes of a latent, which the cache keeps as one key head.
Result<> WriteLatents(KeyWriter& keys) {
  const Config& c = keys.config;
  FamilySizes& s = keys.sizes;
  TATARA_TRY(s.n_embd, SizeOf(c, "hidden_size"));
  TATARA_TRY(s.n_layers, SizeOf(c, "num_hidden_layers"));
  TATARA_TRY(s.n_heads, SizeOf(c, "num_attention_heads"));
  TATARA_TRY(s.plain_dim, SizeOf(c, "qk_nope_head_dim"));
  TATARA_TRY(s.value_dim, SizeOf(c, "v_head_dim"));
  TATARA_TRY(const std::int64_t n_rot, SizeOf(c, "qk_rope_head_dim"));
  TATARA_TRY(const std::int64_t n_latent, SizeOf(c, "kv_lora_rank"));
  s.n_kv_heads = 1;
  s.head_dim = n_rot;  // what WriteRopeKeys turns
  keys.SetInt("embedding_length", s.n_embd);
  keys.SetInt("block_count", s.n_layers);
  keys.SetInt("attention.head_count", s.n_heads);
  keys.SetInt("attention.head_count_kv", 1);
  keys.SetInt("attention.kv_lora_rank", n_latent);
  keys.SetInt("attention.key_length", n_latent + n_rot);
  keys.SetInt("attention.value_length", n_latent);
  keys.SetInt("attention.key_length_mla", s.plain_dim + n_rot);
  keys.SetInt("attention.value_length_mla", s.value_dim);
  TATARA_RETURN_IF_ERROR(keys.CopyInt("q_lora_rank", "attention.q_lora_rank"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("intermediate_size", "feed_forward_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("max_position_embeddings", "context_length"));
  return keys.CopyInt("vocab_size", "vocab_size");
}

// YaRN's weight multiplies the scores, squared; cosines and sines only where the two multipliers
// differ, which is not computed here.
Result<> WriteYarnWeight(KeyWriter& keys) {
  const Config rope = RopeOf(keys.config);
  TATARA_TRY(const std::string older, rope.StringOr("type", "default"));
  TATARA_TRY(const std::string type, rope.StringOr("rope_type", older));
  if (type != "yarn") return Ok{};
  TATARA_TRY(const double above, rope.FloatOr("mscale", 0));
  TATARA_TRY(const double below, rope.FloatOr("mscale_all_dim", 0));
  if (above != below || above == 0) {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  keys.config.origin(), "mscale", above);
  }
  keys.Set("rope.scaling.yarn_log_multiplier", 0.1 * below);
  return Ok{};
}

Result<> WriteExperts(KeyWriter& keys) {
  const Config& c = keys.config;
  TATARA_RETURN_IF_ERROR(keys.OnlyNumber("moe_layer_freq", 1));
  for (const auto& [from, to] : {std::pair{"n_routed_experts", "expert_count"},
                                 {"num_experts_per_tok", "expert_used_count"},
                                 {"moe_intermediate_size", "expert_feed_forward_length"},
                                 {"first_k_dense_replace", "leading_dense_block_count"}}) {
    TATARA_RETURN_IF_ERROR(keys.NeedInt(from, to));
  }
  TATARA_TRY(const std::int64_t n_shared, c.IntOr("n_shared_experts", 0));
  keys.Set("expert_shared_count", n_shared);
  TATARA_TRY(const double scale, c.FloatOr("routed_scaling_factor", 1));
  keys.Set("expert_weights_scale", scale);
  return Ok{};
}

Result<> WriteGroups(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.CopyInt("n_group", "expert_group_count"));
  return keys.CopyInt("topk_group", "expert_group_used_count");
}

Result<> Both(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention_bias", false));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("rope_interleave", true));
  TATARA_RETURN_IF_ERROR(WriteLatents(keys));
  TATARA_RETURN_IF_ERROR(WriteNormKey(keys));
  TATARA_RETURN_IF_ERROR(WriteRopeKeys(keys));
  TATARA_RETURN_IF_ERROR(WriteYarnWeight(keys));
  return WriteExperts(keys);
}

Result<> DeepseekV2(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Both(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("scoring_func", {"softmax"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("norm_topk_prob", false));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("topk_method", {"greedy", "group_limited_greedy"}));
  TATARA_TRY(const std::string method, keys.config.StringOr("topk_method", "greedy"));
  if (method == "group_limited_greedy") TATARA_RETURN_IF_ERROR(WriteGroups(keys));
  keys.SetInt("expert_gating_func", 1);
  keys.Set("expert_weights_norm", false);
  return Ok{};
}

Result<> DeepseekV3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Both(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("scoring_func", {"sigmoid"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("topk_method", {"noaux_tc"}));
  TATARA_RETURN_IF_ERROR(WriteGroups(keys));
  keys.SetInt("expert_gating_func", 2);
  TATARA_TRY(const bool norm, keys.config.BoolOr("norm_topk_prob", true));
  keys.Set("expert_weights_norm", norm);
  return WriteLayersAhead(keys);
}

constexpr std::string_view kV2Names[] = {"DeepseekV2ForCausalLM", "DeepseekV2Model"};
constexpr std::string_view kV3Names[] = {"DeepseekV3ForCausalLM", "DeepseekV3Model"};

}  // namespace

const Family kDeepseekV2Family = {kV2Names, "deepseek2", kAll, DeepseekV2};
const Family kDeepseekV3Family = {kV3Names, "deepseek2", kAll, DeepseekV3};

}  // namespace tatara::weights
