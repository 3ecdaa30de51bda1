// How the encoders that can be exported say their keys in config.json: the inverse of families/.
#include <algorithm>

#include "huggingface/export_keys.h"

namespace tatara::weights {
namespace {

std::int64_t RowsOf(const TensorStore& store, std::string_view name) {
  const TensorView* view = store.Find(name);
  return view == nullptr ? 0 : view->n_rows();
}

void AddSegments(ExportKeys& keys) {
  keys.config["type_vocab_size"] = RowsOf(keys.store, "token_types.weight");
}

// Names of the classes; without them transformers counts two.
void AddClasses(ExportKeys& keys) {
  const std::int64_t n = RowsOf(keys.store, "cls.output.weight");
  if (n == 0) return;
  const auto* names = keys.metadata().Strings(keys.Full("classifier.output_labels"));
  const bool named = names != nullptr && std::ssize(*names) == n;
  OrderedJson by_id = OrderedJson::object(), by_name = OrderedJson::object();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::string name =
        named ? (*names)[static_cast<std::size_t>(i)] : "LABEL_" + std::to_string(i);
    by_id[std::to_string(i)] = name;
    by_name[name] = i;
  }
  keys.config["id2label"] = by_id;
  keys.config["label2id"] = by_name;
}

void AddBertSizes(ExportKeys& keys) {
  CopyAll(keys, {{"embedding_length", "hidden_size"},
                 {"block_count", "num_hidden_layers"},
                 {"attention.head_count", "num_attention_heads"},
                 {"feed_forward_length", "intermediate_size"},
                 {"attention.layer_norm_epsilon", "layer_norm_eps"}});
  keys.config["hidden_act"] = "gelu";
  AddSegments(keys);
  AddClasses(keys);
}

Result<> AddBert(ExportKeys& keys) {
  AddBertSizes(keys);
  keys.Copy("context_length", "max_position_embeddings");
  keys.config["position_embedding_type"] = "absolute";
  return Ok{};
}

// Positions are counted from 2 there.
Result<> AddRoberta(ExportKeys& keys) {
  TATARA_RETURN_IF_ERROR(AddBert(keys));
  keys.config["max_position_embeddings"] = keys.Int("context_length") + 2;
  return Ok{};
}

Result<> AddJina(ExportKeys& keys) {
  AddBertSizes(keys);
  keys.Copy("context_length", "max_position_embeddings");
  keys.config["position_embedding_type"] = "alibi";
  keys.config["feed_forward_type"] = "geglu";
  keys.config["emb_pooler"] = "mean";
  return Ok{};
}

// As published, and under the names that transformers reads.
Result<> AddNomic(ExportKeys& keys) {
  CopyAll(keys, {{"embedding_length", "n_embd"},
                 {"block_count", "n_layer"},
                 {"attention.head_count", "n_head"},
                 {"feed_forward_length", "n_inner"},
                 {"context_length", "n_positions"},
                 {"attention.layer_norm_epsilon", "layer_norm_epsilon"}});
  CopyAll(keys, {{"context_length", "max_position_embeddings"}});
  AddBertSizes(keys);
  keys.config["hidden_act"] = "silu";
  keys.config["rope_parameters"] = {{"rope_type", "default"},
                                    {"rope_theta", keys.Float("rope.freq_base", 10000)}};
  keys.config["rotary_emb_base"] = keys.Float("rope.freq_base", 10000);
  keys.config["rotary_emb_fraction"] = 1.0;
  keys.config["rotary_emb_interleaved"] = false;
  keys.config["activation_function"] = "swiglu";
  for (const char* key : {"prenorm", "causal", "parallel_block", "use_rms_norm", "qkv_proj_bias",
                          "mlp_fc1_bias", "mlp_fc2_bias"}) {
    keys.config[key] = false;
  }
  return Ok{};
}

Result<> AddModernBert(ExportKeys& keys) {
  CopyAll(keys, {{"embedding_length", "hidden_size"},
                 {"block_count", "num_hidden_layers"},
                 {"attention.head_count", "num_attention_heads"},
                 {"feed_forward_length", "intermediate_size"},
                 {"context_length", "max_position_embeddings"},
                 {"attention.sliding_window", "local_attention"},
                 {"attention.layer_norm_epsilon", "norm_eps"}});
  keys.config["global_attn_every_n_layers"] = keys.Int("attention.sliding_window_pattern", 3);
  keys.config["global_rope_theta"] = keys.Float("rope.freq_base", 10000);
  keys.config["local_rope_theta"] = keys.Float("rope.freq_base_swa", 10000);
  keys.config["hidden_activation"] = "gelu";
  for (const char* key : {"norm_bias", "attention_bias", "mlp_bias"}) keys.config[key] = false;
  return Ok{};
}

bool IsRanker(const TensorStore& store) {
  return store.Find("cls.output.weight") != nullptr;
}
// Its vocabulary is SentencePiece's; it has one kind of segment.
bool IsRoberta(const TensorStore& store) {
  const auto vocabulary = store.metadata().StringOr("tokenizer.ggml.model", "");
  if (vocabulary.ok() && !vocabulary->empty()) return *vocabulary == "t5";
  return RowsOf(store, "token_types.weight") == 1;
}
bool IsRobertaRanker(const TensorStore& store) {
  return IsRanker(store) && IsRoberta(store);
}

// Heads are as many as those of queries and cut the embedding evenly; without rotary positions
// there is nothing about them to say.
constexpr std::string_view kPlain[] = {"attention.head_count_kv", "attention.key_length",
                                       "attention.value_length",  "rope.dimension_count",
                                       "rope.freq_base",          "token_type_count",
                                       "classifier.output_labels"};
constexpr std::string_view kRotary[] = {"attention.head_count_kv", "attention.key_length",
                                        "attention.value_length",  "rope.dimension_count",
                                        "token_type_count",        "classifier.output_labels"};

const ExportForm kForms[] = {
    {"bert", "XLMRobertaForSequenceClassification", "xlm-roberta", "roberta.", "", IsRobertaRanker,
     AddRoberta, kPlain},
    {"bert", "BertForSequenceClassification", "bert", "bert.", "", IsRanker, AddBert, kPlain},
    {"bert", "XLMRobertaModel", "xlm-roberta", "", "", IsRoberta, AddRoberta, kPlain},
    {"bert", "BertModel", "bert", "", "", nullptr, AddBert, kPlain},
    {"nomic-bert", "NomicBertModel", "nomic_bert", "", "", nullptr, AddNomic, kRotary},
    {"modern-bert", "ModernBertModel", "modernbert", "", "", nullptr, AddModernBert, kRotary},
    {"jina-bert-v2", "JinaBertModel", "bert", "", "", nullptr, AddJina, kPlain},
};

}  // namespace

std::span<const ExportForm> ExportEncoders() {
  return kForms;
}

}  // namespace tatara::weights
