// A cross-encoder as a Hugging Face folder, from the texts on: pairs through the tokenizer, cut
// where they are too long, two segments, the head. Weights are made from a seed; the scores were
// made by transformers (tools/make_encoder_vectors.py --pairs).

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "changed_store.h"
#include "tatara/base/thread_pool.h"
#include "tatara/generate/embedder.h"
#include "tatara/model/encoder.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::test {
namespace {

using nlohmann::json;

constexpr int kVocab = 30522, kEmbd = 32, kFf = 48, kLayers = 2, kContext = 64;
constexpr double kScores[] = {-0.0647000894, -0.182515904, -0.084648788, -0.093042016};

// A safetensors file of f32 tensors, its values by the generator of the script, tensor after
// tensor.
class Weights {
 public:
  void Add(const std::string& name, int n_rows, int n_cols, float middle = 0) {
    const float size = n_rows == 1 ? 0.2F : 1.7F / std::sqrt(static_cast<float>(n_cols));
    const std::size_t start = data_.size();
    for (int i = 0; i < n_rows * n_cols; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      const float unit =
          static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) / 2147483648.0F;
      const float value = middle + size * unit;
      data_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    const bool is_vector = name.ends_with("bias") || name.find("LayerNorm") != std::string::npos;
    header_[name] = {{"dtype", "F32"},
                     {"shape", is_vector ? json{n_cols} : json{n_rows, n_cols}},
                     {"data_offsets", {start, data_.size()}}};
  }
  void AddNorm(const std::string& name) {
    Add(name + ".weight", 1, kEmbd, 1);
    Add(name + ".bias", 1, kEmbd);
  }
  void AddLinear(const std::string& name, int n_out, int n_in) {
    Add(name + ".weight", n_out, n_in);
    Add(name + ".bias", 1, n_out);
  }
  void Write(const std::filesystem::path& path) const {
    const std::string header = header_.dump();
    const std::uint64_t n_bytes = header.size();
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&n_bytes), sizeof n_bytes);
    out << header << data_;
  }

 private:
  std::uint64_t state_ = 42;
  json header_ = json::object();
  std::string data_;
};

// The order of the tensors is that of the script: it decides their values.
Weights CrossEncoder() {
  Weights w;
  const std::string embeddings = "bert.embeddings.";
  w.Add(embeddings + "word_embeddings.weight", kVocab, kEmbd);
  w.Add(embeddings + "token_type_embeddings.weight", 2, kEmbd);
  w.Add(embeddings + "position_embeddings.weight", kContext, kEmbd);
  w.AddNorm(embeddings + "LayerNorm");
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = "bert.encoder.layer." + std::to_string(i) + ".";
    for (const char* name : {"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense"}) {
      w.AddLinear(layer + name, kEmbd, kEmbd);
    }
    w.AddNorm(layer + "attention.output.LayerNorm");
    w.AddLinear(layer + "intermediate.dense", kFf, kEmbd);
    w.AddLinear(layer + "output.dense", kEmbd, kFf);
    w.AddNorm(layer + "output.LayerNorm");
  }
  w.AddLinear("bert.pooler.dense", kEmbd, kEmbd);
  w.AddLinear("classifier", 1, kEmbd);
  return w;
}

void WriteFolder(const std::filesystem::path& folder, const std::filesystem::path& minilm) {
  CrossEncoder().Write(folder / "model.safetensors");
  std::ofstream(folder / "config.json")
      << json{{"architectures", {"BertForSequenceClassification"}},
              {"model_type", "bert"},
              {"vocab_size", kVocab},
              {"hidden_size", kEmbd},
              {"num_hidden_layers", kLayers},
              {"num_attention_heads", 4},
              {"intermediate_size", kFf},
              {"hidden_act", "gelu"},
              {"layer_norm_eps", 1e-12},
              {"max_position_embeddings", kContext},
              {"type_vocab_size", 2}};
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(minilm / name, folder / name);
  }
}

TEST(Rerank, ACrossEncodersFolderJudgesPairsAsTransformersDoes) {
  TATARA_REQUIRE_MODEL(minilm, "minilm-l6");
  const ScratchDir scratch;
  WriteFolder(scratch.path(), minilm);
  auto opened =
      generate::Embedder::Open(scratch.path().string(), {.n_threads = 2, .f32_activations = true});
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  generate::Embedder& embedder = **opened;
  EXPECT_EQ(embedder.facts().n_classes, 1);
  std::string many_words;
  for (int i = 0; i < 200; ++i) many_words += "word ";
  const std::vector<std::string> passages = {"Open the rear cover and pull the sheet out.",
                                             "Travel expenses are settled within five days.",
                                             "Schließen Sie die Abdeckung. 紙を取り出す。",
                                             many_words};
  const auto scores = embedder.Rerank("How do I clear a paper jam?", passages);
  ASSERT_TRUE(scores.ok()) << scores.error().text();
  ASSERT_EQ(scores->size(), passages.size());
  for (std::size_t i = 0; i < passages.size(); ++i) {
    EXPECT_NEAR(scores->at(i), kScores[i], 2e-6) << passages[i];
    const auto alone = embedder.Rerank("How do I clear a paper jam?", {&passages[i], 1});
    EXPECT_EQ(scores->at(i), alone->at(0)) << "the same bits alone";
  }
  EXPECT_FALSE(embedder.Rerank(many_words, passages).ok()) << "no room is left for a passage";
}

// Rows of a decoder's head as classes, and the last token's logits by an independent engine.
TEST(DecodingReranker, ClassesAreTheLogitsOfTheirWords) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const auto golden = json::parse(ReadFile(folder / "qwen3.json"));
  const std::vector<std::int32_t> tokens = golden.at("token_ids");
  ASSERT_EQ(golden.at("positions")[2], std::ssize(tokens) - 1);
  const std::int64_t n_vocab = golden.at("n_vocab");
  auto opened = weights::OpenTensorStore(folder / "qwen3.gguf");
  ASSERT_TRUE(opened.ok());
  const auto store = std::make_shared<ChangedStore>(std::move(*opened));
  const weights::TensorView* head = store->Find("output.weight");
  if (head == nullptr) head = store->Find("token_embd.weight");
  ASSERT_EQ(head->dtype, numerics::DType::kF32);
  constexpr std::size_t kWords[] = {200, 17};
  const std::size_t row_bytes = static_cast<std::size_t>(head->n_cols()) * sizeof(float);
  std::vector<std::byte> rows;
  for (const std::size_t word : kWords) {
    const auto row = head->data.subspan(word * row_bytes, row_bytes);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  weights::TensorView view = *head;
  view.shape = {head->n_cols(), 2, 1, 1};
  view.data = rows;
  store->Add("cls.output.weight", view);
  store->Set("qwen3.pooling_type", std::uint64_t{4});
  ThreadPool pool(2);
  const auto load = [&] {
    return model::Encoder::Load(store, {.activations = numerics::Activations::kF32}, pool);
  };
  ASSERT_FALSE(load().ok()) << "classes without names";
  store->Set("qwen3.classifier.output_labels", std::vector<std::string>{"yes", "no"});
  const auto encoder = load();
  ASSERT_TRUE(encoder.ok()) << encoder.error().text();
  EXPECT_TRUE((*encoder)->info().is_decoder);
  EXPECT_EQ((*encoder)->info().class_labels, (std::vector<std::string>{"yes", "no"}));
  const model::EncoderInput input{.tokens = tokens};
  std::vector<float> scores(2);
  ASSERT_TRUE((*encoder)->Classify({&input, 1}, pool, scores).ok());
  for (std::size_t i = 0; i < 2; ++i) {
    const double want = golden.at("logits")[static_cast<std::size_t>(2 * n_vocab) + kWords[i]];
    EXPECT_NEAR(scores[i], want, 1e-4 * golden.at("scale").get<double>());
  }
}

}  // namespace
}  // namespace tatara::test
