#include "gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

TEST(GgufTokenizer, QwenComposesItsText) {
  SmallVocabulary v = SmallByteLevel();
  v.pre = "qwen2";
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("e\u0301 か\u3099", {})), "\u00e9 が");
}

Metadata SmallUnigram() {
  Metadata metadata("small.gguf");
  metadata.Set("tokenizer.ggml.model", std::string("t5"));
  metadata.Set("tokenizer.ggml.tokens",
               std::vector<std::string>{"<unk>", "</s>", "▁", "a", "b", "ab", "▁a"});
  metadata.Set("tokenizer.ggml.scores", std::vector<double>{0, 0, -2, -3, -3, -4, -3.5});
  metadata.Set("tokenizer.ggml.token_type", std::vector<std::int64_t>{2, 3, 1, 1, 1, 1, 1});
  metadata.Set("tokenizer.ggml.unknown_token_id", std::int64_t{0});
  metadata.Set("tokenizer.ggml.eos_token_id", std::int64_t{1});
  metadata.Set("tokenizer.ggml.remove_extra_whitespaces", true);
  return metadata;
}

TEST(GgufTokenizer, UnigramTakesTheHighestSum) {
  const auto tokenizer = MustMake(SmallUnigram());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->Encode("  ab   a ", {.add_end = true}), (Ids{2, 5, 6, 1}));
  EXPECT_EQ(tokenizer->Encode("xyb", {}), (Ids{2, 0, 4})) << "neighbouring unknowns are one";
  EXPECT_EQ(tokenizer->Encode("</s>", {}), (Ids{2, 0})) << "no control token from text";
  EXPECT_EQ(tokenizer->Decode(Ids{2, 5, 6, 1}), "ab a");
}

TEST(GgufTokenizer, UnigramTakesBytesForUnknownCharactersWhereThereAreBytes) {
  Metadata metadata = SmallUnigram();
  std::vector<std::string> tokens = *metadata.Strings("tokenizer.ggml.tokens");
  std::vector<double> scores = *metadata.Floats("tokenizer.ggml.scores");
  std::vector<std::int64_t> types = *metadata.Ints("tokenizer.ggml.token_type");
  for (int b = 0; b < 256; ++b) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    tokens.push_back({'<', '0', 'x', kHex[b >> 4], kHex[b & 15], '>'});
    scores.push_back(0);
    types.push_back(6);
  }
  metadata.Set("tokenizer.ggml.tokens", tokens);
  metadata.Set("tokenizer.ggml.scores", scores);
  metadata.Set("tokenizer.ggml.token_type", types);
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  const Ids ids = tokenizer->Encode("ab\u00E9", {});
  EXPECT_EQ(ids, (Ids{2, 5, 7 + 0xC3, 7 + 0xA9}));
  EXPECT_EQ(tokenizer->Decode(ids), "ab\u00E9");
  const std::string name = "<0x41>";
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(name, {})), name) << "a byte's name is no byte";
}

TEST(GgufTokenizer, UnigramBringsTextsToItsNormalForm) {
  Metadata metadata = SmallUnigram();
  metadata.Set("tokenizer.tatara.normal_form", std::string("nfkc"));
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  // Full-width letters and an ideographic space.
  EXPECT_EQ(tokenizer->Encode("\uFF41\uFF42\u3000a", {}), tokenizer->Encode("ab a", {}));
  metadata.Set("tokenizer.tatara.normal_form", std::string("nfx"));
  const auto refused = Tokenizer::FromMetadata(metadata);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), HasSubstr("'nfx'"));
}

TEST(GgufTokenizer, BrokenUnigramFilesAreRefused) {
  const auto with = [](const char* key, Metadata::Value value) {
    Metadata metadata = SmallUnigram();
    metadata.Set(key, std::move(value));
    const auto made = Tokenizer::FromMetadata(metadata);
    return made.ok() ? std::string() : made.error().text();
  };
  EXPECT_THAT(with("tokenizer.ggml.scores", std::vector<double>{0}), HasSubstr("scores"));
  EXPECT_THAT(with("tokenizer.ggml.scores",
                   std::vector<double>(7, std::numeric_limits<double>::quiet_NaN())),
              HasSubstr("finite"));
  EXPECT_THAT(with("tokenizer.ggml.precompiled_charsmap", std::vector<std::int64_t>{9, 0, 0, 0, 1}),
              HasSubstr("character map"));
  EXPECT_THAT(with("tokenizer.ggml.pre", std::string("e5")), HasSubstr("charmap_from"));
}

TEST(GgufTokenizer, Gemma4MergesCharactersAndFallsBackToBytes) {
  SmallVocabulary v;
  v.model = "gemma4";
  for (int b = 0; b < 256; ++b) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    v.Add({'<', '0', 'x', kHex[b >> 4], kHex[b & 15], '>'}, 6);
  }
  for (const char* piece : {"a", "b", "▁", "\n\n"}) v.Add(piece);
  v.AddMerge("▁", "a");
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.merges", v.merges);
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  const std::int32_t space_a = v.Find("▁a"), b = v.Find("b"), lines = v.Find("\n\n");
  EXPECT_EQ(tokenizer->Encode("b a\n\nb\xC3\xA9", {}), (Ids{b, space_a, lines, b, 0xC3, 0xA9}));
  EXPECT_EQ(tokenizer->Decode(Ids{b, space_a, lines, b, 0xC3, 0xA9}), "b a\n\nbé");
}

}  // namespace
}  // namespace tatara::text
