// Decoders that embed and rerank (Qwen3-Embedding, Qwen3-Reranker), from their files to the HTTP
// door: the independent engine's vector of a tiny one; and made-up folders in the published layout
// with a real vocabulary, since no published one is small.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "made_weights.h"
#include "serving.h"
#include "tatara/generate/embedder.h"
#include "tatara/text/tokenizer.h"
#include "tatara/text/tokenizer_json.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::test {
namespace {

using generate::Embedder;
using generate::TextRole;
using nlohmann::json;
using testing::HasSubstr;

constexpr int kEmbd = 48, kLayers = 2, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kFf = 64;

MadeWeights Decoder(int n_vocab) {
  MadeWeights w;
  w.Add("model.embed_tokens.weight", n_vocab, kEmbd);
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    w.Add(layer + "input_layernorm.weight", 1, kEmbd, 1);
    w.Add(layer + "post_attention_layernorm.weight", 1, kEmbd, 1);
    w.Add(layer + "self_attn.q_norm.weight", 1, kHeadDim, 1);
    w.Add(layer + "self_attn.k_norm.weight", 1, kHeadDim, 1);
    w.Add(layer + "self_attn.q_proj.weight", kHeads * kHeadDim, kEmbd);
    w.Add(layer + "self_attn.k_proj.weight", kKvHeads * kHeadDim, kEmbd);
    w.Add(layer + "self_attn.v_proj.weight", kKvHeads * kHeadDim, kEmbd);
    w.Add(layer + "self_attn.o_proj.weight", kEmbd, kHeads * kHeadDim);
    w.Add(layer + "mlp.gate_proj.weight", kFf, kEmbd);
    w.Add(layer + "mlp.up_proj.weight", kFf, kEmbd);
    w.Add(layer + "mlp.down_proj.weight", kEmbd, kFf);
  }
  w.Add("model.norm.weight", 1, kEmbd, 1);
  return w;
}

// "<|endoftext|>" after each text, as the published embedding models' tokenizer.json has it.
json EndAdded(std::int32_t end) {
  const auto part = [](const char* kind, const char* id) {
    return json{{kind, {{"id", id}, {"type_id", 0}}}};
  };
  const json last = part("SpecialToken", "<|endoftext|>");
  return {{"type", "TemplateProcessing"},
          {"single", {part("Sequence", "A"), last}},
          {"pair", {part("Sequence", "A"), last, part("Sequence", "B"), last}},
          {"special_tokens",
           {{"<|endoftext|>",
             {{"id", "<|endoftext|>"}, {"ids", {end}}, {"tokens", {"<|endoftext|>"}}}}}}};
}

enum class Kind { kEmbedding, kReranker };

// A folder whose name says what it is, as of the published ones.
std::filesystem::path WriteFolder(const std::filesystem::path& root,
                                  const std::filesystem::path& real, Kind kind) {
  const bool embeds = kind == Kind::kEmbedding;
  const auto folder = root / (embeds ? "Qwen3-Embedding-0.1B" : "Qwen3-Reranker-0.1B");
  std::filesystem::create_directories(folder / "1_Pooling");
  auto store = weights::OpenTensorStore(real);
  if (!store.ok()) throw std::runtime_error(store.error().text());
  auto text = text::TokenizerJsonOf((*store)->metadata());
  auto tokenizer = text::Tokenizer::FromMetadata((*store)->metadata());
  if (!text.ok() || !tokenizer.ok()) throw std::runtime_error("no tokenizer");
  json tokens = json::parse(*text);
  const auto end = (*tokenizer)->Encode("<|endoftext|>", {.parse_special = true});
  if (embeds) tokens["post_processor"] = EndAdded(end.at(0));
  std::ofstream(folder / "tokenizer.json") << tokens;
  const int n_vocab = (*tokenizer)->vocabulary_size();
  std::ofstream(folder / "config.json") << json{{"architectures", {"Qwen3ForCausalLM"}},
                                                {"model_type", "qwen3"},
                                                {"vocab_size", n_vocab},
                                                {"hidden_size", kEmbd},
                                                {"num_hidden_layers", kLayers},
                                                {"num_attention_heads", kHeads},
                                                {"num_key_value_heads", kKvHeads},
                                                {"head_dim", kHeadDim},
                                                {"intermediate_size", kFf},
                                                {"hidden_act", "silu"},
                                                {"rms_norm_eps", 1e-6},
                                                {"rope_theta", 1e6},
                                                {"max_position_embeddings", 256},
                                                {"tie_word_embeddings", true}};
  Decoder(n_vocab).Write(folder / "model.safetensors");
  if (!embeds) return folder;
  const std::string package = "sentence_transformers.models.";
  std::ofstream(folder / "modules.json")
      << json{{{"type", package + "Transformer"}, {"path", ""}},
              {{"type", package + "Pooling"}, {"path", "1_Pooling"}},
              {{"type", package + "Normalize"}, {"path", "2_Normalize"}}};
  std::ofstream(folder / "1_Pooling" / "config.json") << json{{"pooling_mode_lasttoken", true}};
  return folder;
}

std::unique_ptr<Embedder> Open(const std::filesystem::path& path, bool f32 = false) {
  auto opened = Embedder::Open(path.string(), {.n_threads = 2, .f32_activations = f32});
  if (!opened.ok()) throw std::runtime_error(opened.error().text());
  return std::move(*opened);
}

std::vector<float> VectorOf(Embedder& embedder, const std::string& text,
                            const Embedder::Wish& wish) {
  auto vector = embedder.Embed({&text, 1}, wish);
  EXPECT_TRUE(vector.ok()) << vector.error().text();
  return vector.ok() ? *vector : std::vector<float>();
}

TEST(DecoderEmbedding, ATinyOneMeetsTheIndependentEngineFromItsFile) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  const json golden = json::parse(ReadFile(folder / "qwen3_embedding.json"));
  const std::vector<std::int32_t> ids = golden.at("token_ids");
  const std::vector<double> expected = golden.at("embedding");
  const double scale = golden.at("scale");
  const auto embedder = Open(folder / "qwen3_embedding.gguf", /*f32=*/true);
  const auto vector = embedder->EmbedTokens(ids, {.normalise = false});
  ASSERT_TRUE(vector.ok()) << vector.error().text();
  ASSERT_EQ(vector->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(vector->at(i), expected[i], 1e-4 * scale);
  }
}

TEST(DecoderEmbedding, AFileSaysWhatItIsMeantFor) {
  TATARA_REQUIRE_DATA(folder, "golden/arch");
  for (const auto& [name, embeds] :
       {std::pair{"qwen3_embedding", true}, {"bert", true}, {"qwen3", false}, {"llama", false}}) {
    const auto meant = Embedder::IsMeantFor((folder / name).string() + ".gguf");
    ASSERT_TRUE(meant.ok()) << meant.error().text();
    EXPECT_EQ(*meant, embeds) << name;
  }
}

TEST(DecoderEmbedding, AFolderPoolsTheEndTokenAndKeepsTheCallersInstruction) {
  TATARA_REQUIRE_MODEL(real, "qwen2.5-coder-0.5b");
  const ScratchDir scratch;
  const auto embedder = Open(WriteFolder(scratch.path(), real, Kind::kEmbedding));
  std::vector<std::int32_t> ids =
      embedder->tokenizer().Encode("The sea is deep.", {.add_start = false});
  const auto bare = embedder->EmbedTokens(ids, {});
  ids.push_back(embedder->tokenizer().Encode("<|endoftext|>", {.parse_special = true}).at(0));
  const auto with_end = embedder->EmbedTokens(ids, {});
  ASSERT_TRUE(bare.ok() && with_end.ok());
  const auto passage = VectorOf(*embedder, "The sea is deep.", {});
  EXPECT_EQ(passage, *with_end);
  EXPECT_NE(passage, *bare);

  const std::string own = "Instruct: Find the rule.\nQuery:The sea is deep.";
  const auto query = VectorOf(*embedder, own, {.role = TextRole::kQuery});
  EXPECT_EQ(query, VectorOf(*embedder, own, {.role = TextRole::kPlain}));
  EXPECT_NE(VectorOf(*embedder, "The sea is deep.", {.role = TextRole::kQuery}), passage);

  // Longer than a pass and longer than the model reads at once: windows, no refusal.
  std::string longer;
  for (int i = 0; i < 400; ++i) longer += "deep sea ";
  const auto vector = VectorOf(*embedder, longer, {});
  EXPECT_NEAR(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0), 1, 1e-6);
}

TEST(DecoderEmbedding, VectorsAreCutToLengthsThatTheModelWasMadeFor) {
  TATARA_REQUIRE_MODEL(real, "qwen2.5-coder-0.5b");
  const ScratchDir scratch;
  const auto embedder = Open(WriteFolder(scratch.path(), real, Kind::kEmbedding));
  EXPECT_EQ(embedder->facts().sizes.least, 32) << "by its name";
  const auto whole = VectorOf(*embedder, "The sea", {.normalise = false});
  const auto raw = VectorOf(*embedder, "The sea", {.normalise = false, .dimensions = 40});
  ASSERT_EQ(raw.size(), 40U);
  EXPECT_TRUE(std::equal(raw.begin(), raw.end(), whole.begin()));
  const auto cut = VectorOf(*embedder, "The sea", {.dimensions = 40});
  EXPECT_NEAR(std::inner_product(cut.begin(), cut.end(), cut.begin(), 0.0), 1, 1e-6);
  EXPECT_EQ(VectorOf(*embedder, "The sea", {.dimensions = kEmbd}),
            VectorOf(*embedder, "The sea", {}));
  const std::string text = "The sea";
  for (const int n : {31, kEmbd + 1, -1}) {
    const auto refused = embedder->Embed({&text, 1}, {.dimensions = n});
    ASSERT_FALSE(refused.ok()) << n;
    EXPECT_THAT(refused.error().text(), HasSubstr("it gives 32–48"));
  }
}

TEST(DecoderEmbedding, IsServedBesideAModelThatGenerates) {
  TATARA_REQUIRE_MODEL(real, "qwen2.5-coder-0.5b");
  TATARA_REQUIRE_MODEL(tiny, "smollm2-135m");
  const ScratchDir scratch;
  Serving serving(tiny);
  const auto folder = WriteFolder(scratch.path(), real, Kind::kEmbedding);
  serving.AddEmbedder(folder);
  const auto embedder = Open(folder);
  const auto expected = VectorOf(*embedder, "The sea", {.dimensions = 32});
  const OrderedJson answer =
      serving.Ask("/v1/embeddings", {{"input", {"The sea", "The sky"}}, {"dimensions", 32}});
  ASSERT_EQ(answer["data"].size(), 2U);
  EXPECT_EQ(answer["data"][0]["embedding"].get<std::vector<float>>(), expected);
  EXPECT_EQ(serving.Ask("/v1/embeddings", {{"input", "a"}})["data"][0]["embedding"].size(), 48U);

  HttpClient client(serving.port());
  for (const int n : {31, 49}) {
    const HttpAnswer refused =
        client.AskPost("/v1/embeddings", OrderedJson({{"input", "a"}, {"dimensions", n}}).dump());
    EXPECT_EQ(refused.status, 400);
    const OrderedJson error = OrderedJson::parse(refused.body)["error"];
    EXPECT_EQ(error["param"], "dimensions");
    EXPECT_EQ(error["message"].get<std::string>(),
              "dimensions: this model's vectors have 48; it can cut them to 32 and more");
  }
  const OrderedJson model = OrderedJson::parse(client.AskGet("/v1/models/vectors").body);
  EXPECT_EQ(model["tatara"]["kind"], "embeds");
  EXPECT_EQ(model["tatara"]["dimensions_least"], 32);
  const OrderedJson ranked =
      serving.Ask("/v1/rerank", {{"query", "The sea"}, {"documents", {"a", "The sea"}}});
  EXPECT_EQ(ranked["results"].size(), 2U);
}

TEST(DecodingReranker, IsServedAndGivesTheShareOfYes) {
  TATARA_REQUIRE_MODEL(real, "qwen2.5-coder-0.5b");
  TATARA_REQUIRE_MODEL(tiny, "smollm2-135m");
  const ScratchDir scratch;
  Serving serving(tiny);
  const auto folder = WriteFolder(scratch.path(), real, Kind::kReranker);
  ASSERT_TRUE(*Embedder::IsMeantFor(folder.string()));
  serving.AddEmbedder(folder);
  const std::vector<std::string> passages = {"The sea is deep.", "The sky is blue.", ""};
  const auto scores = Open(folder)->Rerank("How deep is the sea?", passages);
  ASSERT_TRUE(scores.ok()) << scores.error().text();
  const OrderedJson ranked =
      serving.Ask("/v1/rerank", {{"query", "How deep is the sea?"}, {"documents", passages}});
  double before = 1;
  for (const auto& result : ranked["results"]) {
    const double score = result["relevance_score"];
    EXPECT_EQ(score, scores->at(result["index"].get<std::size_t>()));
    EXPECT_TRUE(score > 0 && score <= before);
    before = score;
  }
  HttpClient client(serving.port());
  const HttpAnswer vectors =
      client.AskPost("/v1/embeddings", OrderedJson({{"model", "vectors"}, {"input", "a"}}).dump());
  EXPECT_EQ(vectors.status, 400);
  EXPECT_THAT(vectors.body, HasSubstr("gives neither vectors nor text"));
  const OrderedJson model = OrderedJson::parse(client.AskGet("/v1/models/vectors").body);
  EXPECT_EQ(model["tatara"]["kind"], "ranks");
  EXPECT_EQ(model["tatara"]["n_embd"], 0);
}

}  // namespace
}  // namespace tatara::test
