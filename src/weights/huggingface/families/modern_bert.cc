// ModernBERT encoders.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kTensors[] = {
    {"embeddings.tok_embeddings.weight", "token_embd.weight"},
    {"embeddings.norm.weight", "token_embd_norm.weight"},
    {"final_norm.weight", "output_norm.weight"},
    {"layers.#.attn_norm.weight", "blk.#.attn_norm.weight"},
    {"layers.#.attn.Wqkv.weight", "blk.#.attn_qkv.weight"},
    {"layers.#.attn.Wo.weight", "blk.#.attn_output.weight"},
    {"layers.#.mlp_norm.weight", "blk.#.ffn_norm.weight"},
    {"layers.#.mlp.Wi.weight", "blk.#.ffn_up.weight"},
    {"layers.#.mlp.Wo.weight", "blk.#.ffn_down.weight"},
    // The head of pre-training makes no embedding.
    {"head.dense.weight", "", Change::kDrop},
    {"head.norm.weight", "", Change::kDrop},
    {"decoder.weight", "", Change::kDrop},
    {"decoder.bias", "", Change::kDrop},
};
const std::span<const Rename> kModernBert[] = {kTensors};

Result<> ModernBert(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_activation", {"gelu"}));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("hidden_size", "embedding_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_hidden_layers", "block_count"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("num_attention_heads", "attention.head_count"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("intermediate_size", "feed_forward_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("vocab_size", "vocab_size"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("max_position_embeddings", "context_length"));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("local_attention", "attention.sliding_window"));
  TATARA_RETURN_IF_ERROR(
      keys.NeedInt("global_attn_every_n_layers", "attention.sliding_window_pattern"));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("global_rope_theta", "rope.freq_base"));
  TATARA_RETURN_IF_ERROR(keys.CopyFloat("local_rope_theta", "rope.freq_base_swa"));
  keys.Set("attention.causal", false);
  keys.SetInt("pooling_type", 1);  // a sentence-transformers folder may say otherwise
  return WriteNormKey(keys, "norm_eps", "attention.layer_norm_epsilon");
}

constexpr std::string_view kNames[] = {"ModernBertModel", "ModernBertForMaskedLM"};

}  // namespace

const Family kModernBertFamily = {kNames, "modern-bert", kModernBert, ModernBert};

}  // namespace tatara::weights
