// Jina's BERT for long texts (version 2). The gate and the other matrix are published one above the
// other.
#include "huggingface/families/list.h"

namespace tatara::weights {
namespace {

constexpr Rename kTensors[] = {
    {"encoder.layer.#.mlp.gated_layers.weight", "blk.#.ffn_gate.weight", Change::kHalves,
     "blk.#.ffn_up.weight"},
    {"encoder.layer.#.mlp.wo.weight", "blk.#.ffn_down.weight"},
    {"encoder.layer.#.mlp.wo.bias", "blk.#.ffn_down.bias"},
    {"encoder.layer.#.mlp.layernorm.weight", "blk.#.layer_output_norm.weight"},
    {"encoder.layer.#.mlp.layernorm.bias", "blk.#.layer_output_norm.bias"},
};
const std::span<const Rename> kAll[] = {kBertEmbeddings, kBertAttention, kBertPretraining,
                                        kTensors};

Result<> Jina(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyString("feed_forward_type", {"geglu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("position_embedding_type", {"alibi"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("emb_pooler", {"mean"}));
  TATARA_RETURN_IF_ERROR(WriteBertSizes(keys));
  TATARA_RETURN_IF_ERROR(keys.NeedInt("max_position_embeddings", "context_length"));
  keys.SetInt("pooling_type", 1);  // a sentence-transformers folder may say otherwise
  return Ok{};
}

constexpr std::string_view kNames[] = {"JinaBertModel", "JinaBertForMaskedLM"};

}  // namespace

const Family kJinaFamily = {kNames, "jina-bert-v2", kAll, Jina};

}  // namespace tatara::weights
