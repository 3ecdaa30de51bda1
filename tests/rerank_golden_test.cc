// A cross-encoder as a Hugging Face folder, from the texts on: pairs through the tokenizer, cut
// where they are too long, two segments, the head. Weights are made from a seed; the scores were
// made by transformers (tools/make_encoder_vectors.py --pairs).

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "changed_store.h"
#include "made_weights.h"
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

void AddNorm(MadeWeights& w, const std::string& name) {
  w.Add(name + ".weight", 1, kEmbd, 1);
  w.Add(name + ".bias", 1, kEmbd);
}
void AddLinear(MadeWeights& w, const std::string& name, int n_out, int n_in) {
  w.Add(name + ".weight", n_out, n_in);
  w.Add(name + ".bias", 1, n_out);
}

// The order of the tensors is that of the script: it decides their values.
MadeWeights CrossEncoder(int n_classes) {
  MadeWeights w;
  const std::string embeddings = "bert.embeddings.";
  w.Add(embeddings + "word_embeddings.weight", kVocab, kEmbd);
  w.Add(embeddings + "token_type_embeddings.weight", 2, kEmbd);
  w.Add(embeddings + "position_embeddings.weight", kContext, kEmbd);
  AddNorm(w, embeddings + "LayerNorm");
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = "bert.encoder.layer." + std::to_string(i) + ".";
    for (const char* name : {"attention.self.query", "attention.self.key", "attention.self.value",
                             "attention.output.dense"}) {
      AddLinear(w, layer + name, kEmbd, kEmbd);
    }
    AddNorm(w, layer + "attention.output.LayerNorm");
    AddLinear(w, layer + "intermediate.dense", kFf, kEmbd);
    AddLinear(w, layer + "output.dense", kEmbd, kFf);
    AddNorm(w, layer + "output.LayerNorm");
  }
  AddLinear(w, "bert.pooler.dense", kEmbd, kEmbd);
  AddLinear(w, "classifier", n_classes, kEmbd);
  return w;
}

void WriteFolder(const std::filesystem::path& folder, const std::filesystem::path& minilm,
                 const std::vector<std::string>& classes = {"LABEL_0"}) {
  CrossEncoder(static_cast<int>(classes.size())).Write(folder / "model.safetensors");
  json names = json::object();
  for (std::size_t i = 0; i < classes.size(); ++i) names[std::to_string(i)] = classes[i];
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
              {"type_vocab_size", 2},
              {"id2label", names}};
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

// Of several classes the one whose name says that a passage answers.
TEST(Rerank, OfSeveralClassesTheOneThatAnswersGivesItsLogOdds) {
  TATARA_REQUIRE_MODEL(minilm, "minilm-l6");
  const std::vector<std::string> passages = {"Open the rear cover.", "Settled within five days."};
  const auto scores_of = [&](const std::vector<std::string>& classes) {
    const ScratchDir scratch;
    WriteFolder(scratch.path(), minilm, classes);
    auto embedder = generate::Embedder::Open(scratch.path().string(), {.n_threads = 1});
    EXPECT_TRUE(embedder.ok()) << embedder.error().text();
    return (*embedder)->Rerank("How?", passages);
  };
  const auto plain = scores_of({"LABEL_0", "LABEL_1"});
  const auto first = scores_of({"relevant", "irrelevant"});
  ASSERT_TRUE(plain.ok() && first.ok());
  for (std::size_t i = 0; i < passages.size(); ++i) EXPECT_EQ(plain->at(i), -first->at(i));

  // Three log odds of one softmax: their shares sum to 1.
  std::vector<double> sums(passages.size());
  const std::vector<std::vector<std::string>> orders = {{"entailment", "neutral", "contradiction"},
                                                        {"contradiction", "Entailment", "neutral"},
                                                        {"contradiction", "neutral", "entailment"}};
  for (const auto& classes : orders) {
    const auto scores = scores_of(classes);
    ASSERT_TRUE(scores.ok()) << scores.error().text();
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += 1 / (1 + std::exp(-scores->at(i)));
  }
  for (const double sum : sums) EXPECT_NEAR(sum, 1, 1e-9);
  const auto refused = scores_of({"a", "b", "c"});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text().find("a head of 3 classes"), std::string::npos);
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
