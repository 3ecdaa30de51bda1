// Qwen 2 and 2.5, Qwen 3, and their mixtures of experts.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kExperts[] = {
    {"layers.#.mlp.gate.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.mlp.experts.*.gate_proj.weight", "blk.#.ffn_gate_exps.weight"},
    {"layers.#.mlp.experts.*.up_proj.weight", "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.*.down_proj.weight", "blk.#.ffn_down_exps.weight"},
    {"layers.#.mlp.shared_expert.gate_proj.weight", "blk.#.ffn_gate_shexp.weight"},
    {"layers.#.mlp.shared_expert.up_proj.weight", "blk.#.ffn_up_shexp.weight"},
    {"layers.#.mlp.shared_expert.down_proj.weight", "blk.#.ffn_down_shexp.weight"},
    {"layers.#.mlp.shared_expert_gate.weight", "blk.#.ffn_gate_inp_shexp.weight", Change::kOneRow},
};
const std::span<const Rename> kDense2[] = {kDecoderEnds, kTwoNorms, kAttention, kGatedFfn};
const std::span<const Rename> kDense3[] = {kDecoderEnds, kTwoNorms, kAttention, kHeadNorms,
                                           kGatedFfn};
const std::span<const Rename> kMixture2[] = {kDecoderEnds, kTwoNorms, kAttention, kExperts};
const std::span<const Rename> kMixture3[] = {kDecoderEnds, kTwoNorms, kAttention, kHeadNorms,
                                             kExperts};

Result<> Dense(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("use_sliding_window", false));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu"}));
  return WriteUsualKeys(keys);
}

Result<> Mixture(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Dense(keys));
  TATARA_TRY(const std::int64_t step, keys.config.IntOr("decoder_sparse_step", 1));
  TATARA_TRY(const auto dense, keys.config.IntsOrNone("mlp_only_layers"));
  if (step != 1 || !dense.empty()) {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  keys.config.origin(), step != 1 ? "decoder_sparse_step" : "mlp_only_layers",
                  step != 1 ? step : dense.front());
  }
  // Newer versions of transformers write the second name.
  const bool older = keys.config.Has("num_experts");
  TATARA_RETURN_IF_ERROR(keys.NeedInt(older ? "num_experts" : "num_local_experts", "expert_count"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_experts_per_tok", "expert_used_count"));
  return keys.NeedInt("moe_intermediate_size", "expert_feed_forward_length");
}

Result<> Mixture2(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("norm_topk_prob", false));
  TATARA_RETURN_IF_ERROR(
      keys.NeedInt("shared_expert_intermediate_size", "expert_shared_feed_forward_length"));
  return Mixture(keys);
}

Result<> Mixture3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("norm_topk_prob", true));
  return Mixture(keys);
}

constexpr std::string_view kQwen2Names[] = {"Qwen2ForCausalLM", "Qwen2Model"};
constexpr std::string_view kQwen2MoeNames[] = {"Qwen2MoeForCausalLM"};
constexpr std::string_view kQwen3Names[] = {"Qwen3ForCausalLM", "Qwen3Model"};
constexpr std::string_view kQwen3MoeNames[] = {"Qwen3MoeForCausalLM"};

}  // namespace

const Family kQwen2Family = {kQwen2Names, "qwen2", kDense2, Dense};
const Family kQwen2MoeFamily = {kQwen2MoeNames, "qwen2moe", kMixture2, Mixture2};
const Family kQwen3Family = {kQwen3Names, "qwen3", kDense3, Dense};
const Family kQwen3MoeFamily = {kQwen3MoeNames, "qwen3moe", kMixture3, Mixture3};

}  // namespace tatara::weights
