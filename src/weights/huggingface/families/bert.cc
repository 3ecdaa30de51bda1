// BERT, XLM-R (RoBERTa) and Nomic encoders; cross-encoders with their head.
#include "huggingface/families/list.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

constexpr Rename kEmbeddings[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embeddings.token_type_embeddings.weight", "token_types.weight"},
    {"embeddings.LayerNorm.weight", "token_embd_norm.weight"},
    {"embeddings.LayerNorm.bias", "token_embd_norm.bias"},
    {"embeddings.position_ids", "", Change::kDrop},
    {"embeddings.token_type_ids", "", Change::kDrop},
};
constexpr Rename kAttentionOf[] = {
    {"encoder.layer.#.attention.self.query.weight", "blk.#.attn_q.weight"},
    {"encoder.layer.#.attention.self.query.bias", "blk.#.attn_q.bias"},
    {"encoder.layer.#.attention.self.key.weight", "blk.#.attn_k.weight"},
    {"encoder.layer.#.attention.self.key.bias", "blk.#.attn_k.bias"},
    {"encoder.layer.#.attention.self.value.weight", "blk.#.attn_v.weight"},
    {"encoder.layer.#.attention.self.value.bias", "blk.#.attn_v.bias"},
    {"encoder.layer.#.attention.output.dense.weight", "blk.#.attn_output.weight"},
    {"encoder.layer.#.attention.output.dense.bias", "blk.#.attn_output.bias"},
    {"encoder.layer.#.attention.output.LayerNorm.weight", "blk.#.attn_output_norm.weight"},
    {"encoder.layer.#.attention.output.LayerNorm.bias", "blk.#.attn_output_norm.bias"},
};
constexpr Rename kFeedForward[] = {
    {"encoder.layer.#.intermediate.dense.weight", "blk.#.ffn_up.weight"},
    {"encoder.layer.#.intermediate.dense.bias", "blk.#.ffn_up.bias"},
    {"encoder.layer.#.output.dense.weight", "blk.#.ffn_down.weight"},
    {"encoder.layer.#.output.dense.bias", "blk.#.ffn_down.bias"},
    {"encoder.layer.#.output.LayerNorm.weight", "blk.#.layer_output_norm.weight"},
    {"encoder.layer.#.output.LayerNorm.bias", "blk.#.layer_output_norm.bias"},
};
constexpr Rename kPositions[] = {{"embeddings.position_embeddings.weight", "position_embd.weight"}};
constexpr Rename kPositionsFrom2[] = {
    {"embeddings.position_embeddings.weight", "position_embd.weight", Change::kDropTwoRows}};
// The pooler and the heads of pre-training make no embedding.
constexpr Rename kNoHead[] = {
    {"pooler.dense.weight", "", Change::kDrop},
    {"pooler.dense.bias", "", Change::kDrop},
    {"cls.predictions.bias", "", Change::kDrop},
    {"cls.predictions.decoder.weight", "", Change::kDrop},
    {"cls.predictions.decoder.bias", "", Change::kDrop},
    {"cls.predictions.transform.dense.weight", "", Change::kDrop},
    {"cls.predictions.transform.dense.bias", "", Change::kDrop},
    {"cls.predictions.transform.LayerNorm.weight", "", Change::kDrop},
    {"cls.predictions.transform.LayerNorm.bias", "", Change::kDrop},
    {"cls.seq_relationship.weight", "", Change::kDrop},
    {"cls.seq_relationship.bias", "", Change::kDrop},
    {"lm_head.bias", "", Change::kDrop},
    {"lm_head.dense.weight", "", Change::kDrop},
    {"lm_head.dense.bias", "", Change::kDrop},
    {"lm_head.layer_norm.weight", "", Change::kDrop},
    {"lm_head.layer_norm.bias", "", Change::kDrop},
    {"lm_head.decoder.weight", "", Change::kDrop},
    {"lm_head.decoder.bias", "", Change::kDrop},
};
constexpr Rename kBertHead[] = {
    {"pooler.dense.weight", "cls.weight"},
    {"pooler.dense.bias", "cls.bias"},
    {"classifier.weight", "cls.output.weight"},
    {"classifier.bias", "cls.output.bias"},
};
constexpr Rename kRobertaHead[] = {
    {"classifier.dense.weight", "cls.weight"},
    {"classifier.dense.bias", "cls.bias"},
    {"classifier.out_proj.weight", "cls.output.weight"},
    {"classifier.out_proj.bias", "cls.output.bias"},
};
constexpr Rename kNomicTensors[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embeddings.token_type_embeddings.weight", "token_types.weight"},
    {"emb_ln.weight", "token_embd_norm.weight"},
    {"emb_ln.bias", "token_embd_norm.bias"},
    {"encoder.layers.#.attn.Wqkv.weight", "blk.#.attn_qkv.weight"},
    {"encoder.layers.#.attn.out_proj.weight", "blk.#.attn_output.weight"},
    {"encoder.layers.#.norm1.weight", "blk.#.attn_output_norm.weight"},
    {"encoder.layers.#.norm1.bias", "blk.#.attn_output_norm.bias"},
    {"encoder.layers.#.mlp.fc11.weight", "blk.#.ffn_up.weight"},
    {"encoder.layers.#.mlp.fc12.weight", "blk.#.ffn_gate.weight"},
    {"encoder.layers.#.mlp.fc2.weight", "blk.#.ffn_down.weight"},
    {"encoder.layers.#.norm2.weight", "blk.#.layer_output_norm.weight"},
    {"encoder.layers.#.norm2.bias", "blk.#.layer_output_norm.bias"},
};
const std::span<const Rename> kBert[] = {kEmbeddings, kAttentionOf, kFeedForward, kPositions,
                                         kNoHead};
const std::span<const Rename> kRoberta[] = {kEmbeddings, kAttentionOf, kFeedForward,
                                            kPositionsFrom2, kNoHead};
const std::span<const Rename> kBertRanker[] = {kEmbeddings, kAttentionOf, kFeedForward, kPositions,
                                               kBertHead};
const std::span<const Rename> kRobertaRanker[] = {kEmbeddings, kAttentionOf, kFeedForward,
                                                  kPositionsFrom2, kRobertaHead};
const std::span<const Rename> kNomic[] = {kNomicTensors};

Result<> Sizes(KeyWriter& keys, std::int64_t positions_from) {
  TATARA_RETURN_IF_ERROR(keys.OnlyString("position_embedding_type", {"absolute"}));
  TATARA_RETURN_IF_ERROR(WriteBertSizes(keys));
  TATARA_TRY(const std::int64_t positions, keys.config.Int("max_position_embeddings"));
  keys.Set("context_length", positions - positions_from);
  return Ok{};
}

Result<> Bert(KeyWriter& keys) {
  keys.SetInt("pooling_type", 1);  // a sentence-transformers folder may say otherwise
  return Sizes(keys, 0);
}
Result<> Roberta(KeyWriter& keys) {
  keys.SetInt("pooling_type", 1);
  return Sizes(keys, 2);
}
// "id2label": an object of class numbers to names.
Result<> Labels(KeyWriter& keys) {
  const Config by_number = keys.config.Object("id2label");
  const std::size_t n = by_number.Keys().size();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n && by_number.Has(std::to_string(i)); ++i) {
    TATARA_TRY(names.emplace_back(), by_number.StringOr(std::to_string(i), ""));
  }
  if (n > 0 && names.size() == n) keys.Set("classifier.output_labels", std::move(names));
  return Ok{};
}

Result<> BertRanker(KeyWriter& keys) {
  keys.SetInt("pooling_type", 4);
  TATARA_RETURN_IF_ERROR(Labels(keys));
  return Sizes(keys, 0);
}
Result<> RobertaRanker(KeyWriter& keys) {
  keys.SetInt("pooling_type", 4);
  TATARA_RETURN_IF_ERROR(Labels(keys));
  return Sizes(keys, 2);
}

// The configuration as published, and as transformers writes it.
Result<> Nomic(KeyWriter& keys) {
  const Config& c = keys.config;
  TATARA_RETURN_IF_ERROR(keys.OnlyString("activation_function", {"swiglu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"silu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("prenorm", false));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("causal", false));
  const auto need = [&](const char* first, const char* second, const char* to) {
    return keys.NeedInt(c.Has(first) ? first : second, to);
  };
  TATARA_RETURN_IF_ERROR(need("n_embd", "hidden_size", "embedding_length"));
  TATARA_RETURN_IF_ERROR(need("n_layer", "num_hidden_layers", "block_count"));
  TATARA_RETURN_IF_ERROR(need("n_head", "num_attention_heads", "attention.head_count"));
  TATARA_RETURN_IF_ERROR(need("n_inner", "intermediate_size", "feed_forward_length"));
  TATARA_RETURN_IF_ERROR(need("n_positions", "max_position_embeddings", "context_length"));
  const Config rope = RopeOf(c);
  TATARA_TRY(const std::string type, rope.StringOr("rope_type", "default"));
  if (type != "default") {
    return Refuse("{0}: the key '{1}' is {2}, which asks for something that is not computed here",
                  c.origin(), "rope_type", "'" + Printable(type) + "'");
  }
  TATARA_TRY(const double base, rope.FloatOr("rope_theta", 1000));
  TATARA_TRY(const double published, c.FloatOr("rotary_emb_base", base));
  keys.Set("rope.freq_base", published);
  keys.Set("attention.causal", false);
  keys.SetInt("pooling_type", 1);
  return WriteNormKey(keys, c.Has("layer_norm_epsilon") ? "layer_norm_epsilon" : "layer_norm_eps",
                      "attention.layer_norm_epsilon");
}

constexpr std::string_view kBertNames[] = {"BertModel", "BertForMaskedLM", "BertForPreTraining"};
constexpr std::string_view kRobertaNames[] = {"XLMRobertaModel", "RobertaModel",
                                              "XLMRobertaForMaskedLM", "RobertaForMaskedLM"};
constexpr std::string_view kBertRankerNames[] = {"BertForSequenceClassification"};
constexpr std::string_view kRobertaRankerNames[] = {"XLMRobertaForSequenceClassification",
                                                    "RobertaForSequenceClassification"};
constexpr std::string_view kNomicNames[] = {"NomicBertModel"};

}  // namespace

const std::span<const Rename> kBertEmbeddings = kEmbeddings;
const std::span<const Rename> kBertAttention = kAttentionOf;
const std::span<const Rename> kBertPretraining = kNoHead;

Result<> WriteBertSizes(KeyWriter& keys) {
  TATARA_RETURN_IF_ERROR(keys.OnlyString("hidden_act", {"gelu"}));
  TATARA_RETURN_IF_ERROR(keys.OnlyBool("is_decoder", false));
  for (const auto& [from, to] : {std::pair{"hidden_size", "embedding_length"},
                                 {"num_hidden_layers", "block_count"},
                                 {"num_attention_heads", "attention.head_count"},
                                 {"intermediate_size", "feed_forward_length"},
                                 {"vocab_size", "vocab_size"}}) {
    TATARA_RETURN_IF_ERROR(keys.NeedInt(from, to));
  }
  keys.Set("attention.causal", false);
  TATARA_TRY(const std::int64_t types, keys.config.IntOr("type_vocab_size", 0));
  keys.metadata().Set("tokenizer.ggml.token_type_count", types);
  return WriteNormKey(keys, "layer_norm_eps", "attention.layer_norm_epsilon");
}

const Family kBertFamily = {kBertNames, "bert", kBert, Bert};
const Family kRobertaFamily = {kRobertaNames, "bert", kRoberta, Roberta};
const Family kBertRankerFamily = {kBertRankerNames, "bert", kBertRanker, BertRanker};
const Family kRobertaRankerFamily = {kRobertaRankerNames, "bert", kRobertaRanker, RobertaRanker};
const Family kNomicFamily = {kNomicNames, "nomic-bert", kNomic, Nomic};

}  // namespace tatara::weights
