// Real embedding models against an independent reference in float64 (data/golden/e5-small.json,
// minilm-l6.json): texts through tokenizer, windows, encoder, pooling and scaling, and exact ids.
// f32 activations: cosine 0.9999999 at least; 8-bit: 0.9995; rankings in the same order.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tatara/generate/embedder.h"
#include "tatara/numerics/isa.h"
#include "tatara/text/tokenizer.h"
#include "test_support.h"

namespace tatara::test {
namespace {

using generate::Embedder;
using generate::TextRole;
using nlohmann::json;

std::unique_ptr<Embedder> OpenEmbedder(const std::filesystem::path& path, bool f32,
                                       int n_threads = 2) {
  auto opened = Embedder::Open(path.string(), {.n_threads = n_threads, .f32_activations = f32});
  if (!opened.ok()) throw std::runtime_error(opened.error().text());
  return std::move(*opened);
}

double Cosine(std::span<const float> a, std::span<const double> b) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dot += a[i] * b[i], aa += double{a[i]} * a[i], bb += b[i] * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

// The reference of the text as the model was trained with: composed where that differs.
const json& Reference(const json& text) {
  return text.contains("composed") ? text.at("composed") : text;
}

TextRole RoleOf(const json& text) {
  return text.value("kind", "passage") == "query" ? TextRole::kQuery : TextRole::kPassage;
}

class GoldenEmbedding : public ::testing::TestWithParam<const char*> {
 protected:
  void ExpectTexts(bool f32, double least, double component_most);
};

void GoldenEmbedding::ExpectTexts(bool f32, double least, double component_most) {
  TATARA_REQUIRE_MODEL(path, GetParam());
  TATARA_REQUIRE_DATA(file, std::string("golden/") + GetParam() + ".json");
  const json golden = json::parse(ReadFile(file));
  auto embedder = OpenEmbedder(path, f32);
  const auto n_embd = static_cast<std::size_t>(embedder->facts().n_embd);
  for (const TextRole role : {TextRole::kQuery, TextRole::kPassage}) {
    std::vector<std::string> texts;
    std::vector<const json*> cases;
    for (const json& text : golden.at("texts")) {
      if (RoleOf(text) != role) continue;
      texts.push_back(text.at("text"));
      cases.push_back(&text);
    }
    if (texts.empty()) continue;
    const auto vectors = embedder->Embed(texts, {.role = role, .parse_special = true});
    ASSERT_TRUE(vectors.ok()) << vectors.error().text();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto vector = std::span<const float>(*vectors).subspan(i * n_embd, n_embd);
      const auto expected = Reference(*cases[i]).at("embedding").get<std::vector<double>>();
      EXPECT_GE(Cosine(vector, expected), least) << cases[i]->at("name");
      for (std::size_t d = 0; d < n_embd; ++d) {
        ASSERT_NEAR(vector[d], expected[d], component_most) << cases[i]->at("name") << " " << d;
      }
    }
  }
  RecordEvidence({embedder->facts().architecture, "real weights", GetParam()});
}

TEST_P(GoldenEmbedding, TextsMeetTheReferenceWithF32Activations) {
  ExpectTexts(true, 0.9999999, 2e-6);
  if (!IsSkipped()) RecordEvidence({"bert", "real weights", GetParam()});
}

TEST_P(GoldenEmbedding, TextsMeetTheReferenceWith8BitActivations) {
  ExpectTexts(false, 0.9995, 5e-3);
}

TEST_P(GoldenEmbedding, TheIdsThemselvesGiveTheVectorAndItsLengthIsKeptWhereAsked) {
  TATARA_REQUIRE_MODEL(path, GetParam());
  TATARA_REQUIRE_DATA(file, std::string("golden/") + GetParam() + ".json");
  const json golden = json::parse(ReadFile(file));
  auto embedder = OpenEmbedder(path, true);
  for (const json& text : golden.at("texts")) {
    const auto ids = text.at("token_ids").get<std::vector<std::int32_t>>();
    if (static_cast<std::int64_t>(ids.size()) > embedder->facts().text_tokens) continue;
    const auto expected = text.at("embedding").get<std::vector<double>>();
    const auto scaled = embedder->EmbedTokens(ids, {}),
               raw = embedder->EmbedTokens(ids, {.normalise = false});
    ASSERT_TRUE(scaled.ok() && raw.ok());
    EXPECT_GE(Cosine(*scaled, expected), 0.9999999) << text.at("name");
    EXPECT_NEAR(std::inner_product(scaled->begin(), scaled->end(), scaled->begin(), 0.0), 1, 1e-6);
    EXPECT_GT(std::inner_product(raw->begin(), raw->end(), raw->begin(), 0.0), 1.1);
    EXPECT_GE(Cosine(*raw, expected), 0.9999999);
  }
}

TEST_P(GoldenEmbedding, RankingsAreInTheReferencesOrder) {
  TATARA_REQUIRE_MODEL(path, GetParam());
  TATARA_REQUIRE_DATA(file, std::string("golden/") + GetParam() + ".json");
  const json golden = json::parse(ReadFile(file));
  for (const bool f32 : {true, false}) {
    auto embedder = OpenEmbedder(path, f32);
    for (const json& ranking : golden.at("rankings")) {
      const auto passages = ranking.at("passages").get<std::vector<std::string>>();
      const auto cosines = ranking.at("cosines").get<std::vector<double>>();
      const auto scores = embedder->Rerank(ranking.at("query"), passages);
      ASSERT_TRUE(scores.ok()) << scores.error().text();
      std::vector<std::size_t> order(passages.size());
      std::iota(order.begin(), order.end(), 0);
      std::ranges::sort(order, [&](auto a, auto b) { return (*scores)[a] > (*scores)[b]; });
      EXPECT_EQ(order, ranking.at("order").get<std::vector<std::size_t>>()) << ranking.at("name");
      for (std::size_t i = 0; i < cosines.size(); ++i) {
        EXPECT_NEAR((*scores)[i], cosines[i], f32 ? 1e-5 : 2e-3) << ranking.at("name");
      }
    }
  }
}

TEST_P(GoldenEmbedding, SameBitsAloneAndTogetherOnAnyThreadsAndInstructionSet) {
  TATARA_REQUIRE_MODEL(path, GetParam());
  const std::vector<std::string> texts = {"short", "", "たたら製鉄の炉は粘土で作る。",
                                          std::string(700, 'x') + " and more words of it"};
  for (const bool f32 : {false, true}) {
    std::vector<float> first;
    for (const numerics::Isa isa : numerics::AvailableIsas()) {
      if (isa == numerics::Isa::kScalar && !RunAll()) continue;  // minutes
      numerics::SetActiveIsa(isa);
      for (const int threads : {1, 3}) {
        auto embedder = OpenEmbedder(path, f32, threads);
        const auto together = embedder->Embed(texts, {});
        ASSERT_TRUE(together.ok());
        if (first.empty()) first = *together;
        EXPECT_EQ(first, *together) << numerics::IsaName(isa) << " threads " << threads;
        std::vector<float> one_by_one;
        for (const std::string& text : texts) {
          const auto one = embedder->Embed({&text, 1}, {});
          ASSERT_TRUE(one.ok());
          one_by_one.insert(one_by_one.end(), one->begin(), one->end());
        }
        EXPECT_EQ(first, one_by_one) << numerics::IsaName(isa) << " threads " << threads;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenEmbedding, ::testing::Values("e5-small", "minilm-l6"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Embedder, APrefixIsPutInFrontOnceAndPlainTextStaysAsItIs) {
  TATARA_REQUIRE_MODEL(path, "e5-small");
  auto embedder = OpenEmbedder(path, false);
  const auto vector = [&](const std::string& text, TextRole role) {
    const auto one = embedder->Embed({&text, 1}, {.role = role});
    EXPECT_TRUE(one.ok());
    return one.ok() ? *one : std::vector<float>{};
  };
  EXPECT_EQ(vector("abc", TextRole::kQuery), vector("query: abc", TextRole::kPlain));
  EXPECT_EQ(vector("abc", TextRole::kPassage), vector("passage: abc", TextRole::kPlain));
  EXPECT_EQ(vector("query: abc", TextRole::kPassage), vector("query: abc", TextRole::kPlain));
  EXPECT_NE(vector("abc", TextRole::kPassage), vector("abc", TextRole::kPlain));
}

TEST(Embedder, WhatItCannotTakeIsRefusedWithTheNumbers) {
  TATARA_REQUIRE_MODEL(path, "e5-small");
  auto embedder = OpenEmbedder(path, false);
  const std::int32_t n_vocab = embedder->facts().n_vocab;
  EXPECT_FALSE(embedder->EmbedTokens({}, {}).ok());
  EXPECT_FALSE(embedder->EmbedTokens(std::vector<std::int32_t>{0, n_vocab}, {}).ok());
  EXPECT_FALSE(embedder->EmbedTokens(std::vector<std::int32_t>{0, -1}, {}).ok());
  EXPECT_FALSE(embedder->EmbedTokens(std::vector<std::int32_t>(513, 5), {}).ok());
  EXPECT_TRUE(embedder->EmbedTokens(std::vector<std::int32_t>(512, 5), {}).ok());
  TATARA_REQUIRE_MODEL(chat, "smollm2-135m");
  EXPECT_FALSE(Embedder::Open(chat.string(), {}).ok());
}

}  // namespace
}  // namespace tatara::test
