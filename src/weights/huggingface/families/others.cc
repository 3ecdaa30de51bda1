// Phi-3, OLMo 2 and 3, Command R, Cohere 2, GLM-4: a few names of their own each.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kFusedPhi[] = {
    {"layers.#.self_attn.qkv_proj.weight", "blk.#.attn_qkv.weight"},
    {"layers.#.mlp.gate_up_proj.weight", "blk.#.ffn_up.weight"},
};
constexpr Rename kFusedGlm[] = {
    {"layers.#.mlp.gate_up_proj.weight", "blk.#.ffn_up.weight"},
    {"layers.#.post_self_attn_layernorm.weight", "blk.#.post_attention_norm.weight"},
    {"layers.#.post_mlp_layernorm.weight", "blk.#.post_ffw_norm.weight"},
};
constexpr Rename kOlmoNorms[] = {
    {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight"},
    {"layers.#.post_feedforward_layernorm.weight", "blk.#.post_ffw_norm.weight"},
};
constexpr Rename kGlm4MoeParts[] = {
    {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight"},
    {"layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.mlp.gate.e_score_correction_bias", "blk.#.exp_probs_b.bias"},
    {"layers.#.mlp.experts.*.gate_proj.weight", "blk.#.ffn_gate_exps.weight"},
    {"layers.#.mlp.experts.*.up_proj.weight", "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.*.down_proj.weight", "blk.#.ffn_down_exps.weight"},
    {"layers.#.mlp.shared_experts.gate_proj.weight", "blk.#.ffn_gate_shexp.weight"},
    {"layers.#.mlp.shared_experts.up_proj.weight", "blk.#.ffn_up_shexp.weight"},
    {"layers.#.mlp.shared_experts.down_proj.weight", "blk.#.ffn_down_shexp.weight"},
};
const std::span<const Rename> kPhi3[] = {kDecoderEnds, kTwoNorms, kAttention, kFusedPhi, kGatedFfn};
const std::span<const Rename> kOlmo[] = {kDecoderEnds, kOlmoNorms, kAttention, kHeadNorms,
                                         kGatedFfn};
const std::span<const Rename> kCohere[] = {kDecoderEnds, kTwoNorms, kAttention, kHeadNorms,
                                           kGatedFfn};
const std::span<const Rename> kGlm4[] = {kDecoderEnds, kFusedGlm, kTwoNorms, kAttention, kGatedFfn};
const std::span<const Rename> kGlm4Moe[] = {kDecoderEnds, kGlm4MoeParts, kTwoNorms,   kAttention,
                                            kHeadNorms,   kGatedFfn,     kLayersAhead};

Result<> Phi3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_TRY(const std::int64_t window, WindowOf(keys.config));
  TATARA_TRY(const std::int64_t context, keys.config.Int("max_position_embeddings"));
  if (window > 0 && window < context) keys.SetInt("attention.sliding_window", window);
  return Ok{};
}

Result<> Olmo2(KeyWriter& keys) {
  return WriteUsualKeys(keys);
}

Result<> Olmo3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("sliding_window", "attention.sliding_window"));
  return OnlyFullEvery(keys.config, 4);
}

Result<> Cohere(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(WriteDecoderKeys(keys));
  TATARA_RETURN_IF_ERROR(WriteNormKey(keys, "layer_norm_eps", "attention.layer_norm_epsilon"));
  TATARA_RETURN_IF_ERROR(WriteRopeKeys(keys));
  return keys.CopyFloat("logit_scale", "logit_scale");
}

Result<> Cohere2(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Cohere(keys));
  TATARA_RETURN_IF_ERROR(OnlyFullEvery(keys.config, 4));
  return keys.NeedInt("sliding_window", "attention.sliding_window");
}

// Half of each head is turned where nothing else is said.
Result<> Glm4(KeyWriter& keys) {
  keys.partial_rotary_otherwise = 0.5;
  return WriteUsualKeys(keys);
}

Result<> Glm4Moe(KeyWriter& keys) {
  keys.partial_rotary_otherwise = 0.5;
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  for (const auto& [from, to] : {std::pair{"n_routed_experts", "expert_count"},
                                 {"num_experts_per_tok", "expert_used_count"},
                                 {"moe_intermediate_size", "expert_feed_forward_length"},
                                 {"first_k_dense_replace", "leading_dense_block_count"},
                                 {"n_shared_experts", "expert_shared_count"}}) {
    TATARA_RETURN_IF_ERROR(keys.NeedInt(from, to));
  }
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("routed_scaling_factor", "expert_weights_scale"));
  TATARA_TRY(const bool norm, keys.config.BoolOr("norm_topk_prob", true));
  keys.Set("expert_weights_norm", norm);
  keys.SetInt("expert_gating_func", 2);  // sigmoid
  return WriteLayersAhead(keys);
}

constexpr std::string_view kPhi3Names[] = {"Phi3ForCausalLM"};
constexpr std::string_view kOlmo2Names[] = {"Olmo2ForCausalLM"};
constexpr std::string_view kOlmo3Names[] = {"Olmo3ForCausalLM"};
constexpr std::string_view kCohereNames[] = {"CohereForCausalLM"};
constexpr std::string_view kCohere2Names[] = {"Cohere2ForCausalLM"};
constexpr std::string_view kGlm4Names[] = {"Glm4ForCausalLM"};
constexpr std::string_view kGlm4MoeNames[] = {"Glm4MoeForCausalLM"};

}  // namespace

const Family kPhi3Family = {kPhi3Names, "phi3", kPhi3, Phi3};
const Family kOlmo2Family = {kOlmo2Names, "olmo2", kOlmo, Olmo2};
const Family kOlmo3Family = {kOlmo3Names, "olmo2", kOlmo, Olmo3};
const Family kCohereFamily = {kCohereNames, "command-r", kCohere, Cohere};
const Family kCohere2Family = {kCohere2Names, "cohere2", kCohere, Cohere2};
const Family kGlm4Family = {kGlm4Names, "glm4", kGlm4, Glm4};
const Family kGlm4MoeFamily = {kGlm4MoeNames, "glm4moe", kGlm4Moe, Glm4Moe};

}  // namespace tatara::weights
