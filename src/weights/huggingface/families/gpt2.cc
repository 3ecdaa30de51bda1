// GPT-2, whose matrices are stored input x output.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kTensors[] = {
    {"wte.weight", "token_embd.weight"},
    {"wpe.weight", "position_embd.weight"},
    {"ln_f.weight", "output_norm.weight"},
    {"ln_f.bias", "output_norm.bias"},
    {"lm_head.weight", "output.weight", Change::kDropTied},
    {"h.#.ln_1.weight", "blk.#.attn_norm.weight"},
    {"h.#.ln_1.bias", "blk.#.attn_norm.bias"},
    {"h.#.attn.c_attn.weight", "blk.#.attn_qkv.weight", Change::kTranspose},
    {"h.#.attn.c_attn.bias", "blk.#.attn_qkv.bias"},
    {"h.#.attn.c_proj.weight", "blk.#.attn_output.weight", Change::kTranspose},
    {"h.#.attn.c_proj.bias", "blk.#.attn_output.bias"},
    {"h.#.ln_2.weight", "blk.#.ffn_norm.weight"},
    {"h.#.ln_2.bias", "blk.#.ffn_norm.bias"},
    {"h.#.mlp.c_fc.weight", "blk.#.ffn_up.weight", Change::kTranspose},
    {"h.#.mlp.c_fc.bias", "blk.#.ffn_up.bias"},
    {"h.#.mlp.c_proj.weight", "blk.#.ffn_down.weight", Change::kTranspose},
    {"h.#.mlp.c_proj.bias", "blk.#.ffn_down.bias"},
    {"h.#.attn.bias", "", Change::kDrop},  // the causal mask
    {"h.#.attn.masked_bias", "", Change::kDrop},
};
const std::span<const Rename> kAll[] = {kTensors};

Result<> Gpt2(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyString("activation_function", {"gelu_new"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("scale_attn_by_inverse_layer_idx", false));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("n_embd", "embedding_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("n_layer", "block_count"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("n_head", "attention.head_count"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("n_positions", "context_length"));
  TATARA_TRY(const std::int64_t n_embd, keys.config.Int("n_embd"));
  TATARA_TRY(const std::int64_t n_inner,
             keys.config.IntOr("n_inner", n_embd < (1 << 24) ? 4 * n_embd : n_embd));
  keys.Set("feed_forward_length", n_inner);
  return WriteNormKey(keys, "layer_norm_epsilon", "attention.layer_norm_epsilon");
}

constexpr std::string_view kNames[] = {"GPT2LMHeadModel", "GPT2Model"};

}  // namespace

const Family kGpt2Family = {kNames, "gpt2", kAll, Gpt2};

}  // namespace tatara::weights
