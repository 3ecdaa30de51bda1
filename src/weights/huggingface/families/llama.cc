// Llama 1 to 3, Mistral, Mixtral, SmolLM3, Granite, and what was published in their form. Rotary
// pairs lie as halves of a head there and as neighbours in GGUF.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kMixtralExperts[] = {
    {"layers.#.block_sparse_moe.gate.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.block_sparse_moe.experts.*.w1.weight", "blk.#.ffn_gate_exps.weight"},
    {"layers.#.block_sparse_moe.experts.*.w2.weight", "blk.#.ffn_down_exps.weight"},
    {"layers.#.block_sparse_moe.experts.*.w3.weight", "blk.#.ffn_up_exps.weight"},
};
constexpr Rename kGraniteExperts[] = {
    {"layers.#.block_sparse_moe.router.layer.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.block_sparse_moe.input_linear.weight", "blk.#.ffn_gate_exps.weight", Change::kHalves,
     "blk.#.ffn_up_exps.weight"},
    {"layers.#.block_sparse_moe.output_linear.weight", "blk.#.ffn_down_exps.weight"},
    {"layers.#.shared_mlp.input_linear.weight", "blk.#.ffn_gate_shexp.weight", Change::kHalves,
     "blk.#.ffn_up_shexp.weight"},
    {"layers.#.shared_mlp.output_linear.weight", "blk.#.ffn_down_shexp.weight"},
};

const std::span<const Rename> kDense[] = {kDecoderEnds, kTwoNorms, kPairsAttention, kGatedFfn};
const std::span<const Rename> kMixtral[] = {kDecoderEnds, kTwoNorms, kPairsAttention,
                                            kMixtralExperts};
const std::span<const Rename> kGraniteMoe[] = {kDecoderEnds, kTwoNorms, kPairsAttention,
                                               kGraniteExperts};

Result<> Llama(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu", "swish"}));
  return Ok{};
}

Result<> Mistral(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Llama(keys));
  TATARA_TRY(const std::int64_t window, WindowOf(keys.config));
  if (window > 0) keys.SetInt("attention.sliding_window", window);
  return Ok{};
}

Result<> Mixtral(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Mistral(keys));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_local_experts", "expert_count"));
  return keys.NeedInt("num_experts_per_tok", "expert_used_count");
}

Result<> SmolLM3(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Llama(keys));
  // GGUF says nothing about which layers have no rotary positions: every fourth.
  TATARA_TRY(const auto turned, keys.config.IntsOrNone("no_rope_layers"));
  for (std::size_t i = 0; i < turned.size(); ++i) {
    if ((turned[i] != 0) != ((i + 1) % 4 != 0)) {
      return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                    keys.config.origin(), "no_rope_layers", turned[i]);
    }
  }
  return Ok{};
}

Result<> Granite(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Llama(keys));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("embedding_multiplier", "embedding_scale"));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("residual_multiplier", "residual_scale"));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("attention_multiplier", "attention.scale"));
  return keys.CopyFloat("logits_scaling", "logit_scale");
}

Result<> GraniteMoe(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(Granite(keys));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_local_experts", "expert_count"));
  TATARA_RETURN_IF_ERROR(
      keys.CopyInt("shared_intermediate_size", "expert_shared_feed_forward_length"));
  return keys.NeedInt("num_experts_per_tok", "expert_used_count");
}

constexpr std::string_view kLlamaNames[] = {"LlamaForCausalLM", "LlamaModel", "LLaMAForCausalLM"};
constexpr std::string_view kMistralNames[] = {"MistralForCausalLM", "MistralModel",
                                              "Mistral3ForConditionalGeneration"};
constexpr std::string_view kMixtralNames[] = {"MixtralForCausalLM"};
constexpr std::string_view kSmolLM3Names[] = {"SmolLM3ForCausalLM"};
constexpr std::string_view kGraniteNames[] = {"GraniteForCausalLM"};
constexpr std::string_view kGraniteMoeNames[] = {"GraniteMoeForCausalLM",
                                                 "GraniteMoeSharedForCausalLM"};
}  // namespace

const Family kLlamaFamily = {kLlamaNames, "llama", kDense, Llama};
const Family kMistralFamily = {kMistralNames, "llama", kDense, Mistral};
const Family kMixtralFamily = {kMixtralNames, "llama", kMixtral, Mixtral};
const Family kSmolLM3Family = {kSmolLM3Names, "smollm3", kDense, SmolLM3};
const Family kGraniteFamily = {kGraniteNames, "granite", kDense, Granite};
const Family kGraniteMoeFamily = {kGraniteMoeNames, "granitemoe", kGraniteMoe, GraniteMoe};

}  // namespace tatara::weights
