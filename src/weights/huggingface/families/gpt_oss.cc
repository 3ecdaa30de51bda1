// gpt-oss. Experts are published in MXFP4, their blocks and scales apart, rows of the gate and of
// the other matrix in turn; or widened, then input x output with such columns.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kParts[] = {
    {"layers.#.self_attn.sinks", "blk.#.attn_sinks.weight"},
    {"layers.#.input_layernorm.weight", "blk.#.attn_norm.weight"},
    {"layers.#.post_attention_layernorm.weight", "blk.#.post_attention_norm.weight"},
    {"layers.#.mlp.router.weight", "blk.#.ffn_gate_inp.weight"},
    {"layers.#.mlp.router.bias", "blk.#.ffn_gate_inp.bias"},
    {"layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight", Change::kTransposeEvenOdd,
     "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.gate_up_proj_bias", "blk.#.ffn_gate_exps.bias", Change::kEvenOdd,
     "blk.#.ffn_up_exps.bias"},
    {"layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight", Change::kTranspose},
    {"layers.#.mlp.experts.down_proj_bias", "blk.#.ffn_down_exps.bias"},
    // Blocks joined with their scales (quantised.h) keep the name of the blocks.
    {"layers.#.mlp.experts.gate_up_proj_blocks", "blk.#.ffn_gate_exps.weight", Change::kEvenOddRows,
     "blk.#.ffn_up_exps.weight"},
    {"layers.#.mlp.experts.down_proj_blocks", "blk.#.ffn_down_exps.weight"},
};
const std::span<const Rename> kAll[] = {kDecoderEnds, kAttention, kParts};

Result<> GptOss(KeyWriter& keys) {
  const Config& c = keys.config;
  TATARA_RETURN_IF_ERROR(WriteUsualKeys(keys));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyNumber("swiglu_limit", 7));
  TATARA_RETURN_IF_ERROR(keys.OnlyNumber("swiglu_alpha", 1.702));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("attention_bias", true));
  TATARA_RETURN_IF_ERROR(OnlyFullEvery(c, 2));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("intermediate_size", "expert_feed_forward_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_local_experts", "expert_count"));
  const char* used = c.Has("num_experts_per_tok") ? "num_experts_per_tok" : "experts_per_token";
  TATARA_RETURN_IF_ERROR(keys.NeedInt(used, "expert_used_count"));
  return keys.NeedInt("sliding_window", "attention.sliding_window");
}

constexpr std::string_view kNames[] = {"GptOssForCausalLM", "GptOssModel"};

}  // namespace

const Family kGptOssFamily = {kNames, "gpt-oss", kAll, GptOss};

}  // namespace tatara::weights
