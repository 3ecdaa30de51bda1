// Prompts for what belongs in a hole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

constexpr std::int64_t kNormal = 1, kControl = 3, kUserDefined = 4;

SmallVocabulary WithFill(SmallVocabulary v, std::int64_t type, std::string_view prefix,
                         std::string_view suffix, std::string_view middle) {
  v.Add(std::string(prefix), type);
  v.Add(std::string(suffix), type);
  v.Add(std::string(middle), type);
  return v;
}

TEST(Fill, TokensAreFoundByTheirNames) {
  const std::vector<std::vector<std::string>> kNames = {
      {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
      {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
      {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
      {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
      {"▁<PRE>", "▁<SUF>", "▁<MID>"},
      {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"}};
  for (const auto& names : kNames) {
    for (const std::int64_t type : {kControl, kUserDefined}) {
      const auto v = WithFill(SmallByteLevel(), type, names[0], names[1], names[2]);
      const auto tokenizer = MustMake(v.Build());
      ASSERT_NE(tokenizer, nullptr);
      const FillTokens fill = tokenizer->fill_tokens();
      EXPECT_EQ(fill.prefix, v.Find(names[0])) << names[0];
      EXPECT_EQ(fill.suffix, v.Find(names[1])) << names[1];
      EXPECT_EQ(fill.middle, v.Find(names[2])) << names[2];
    }
  }
}

TEST(Fill, TheFilesKeysComeBeforeNamesAndAreChecked) {
  auto v = WithFill(SmallByteLevel(), kControl, "<fim_prefix>", "<fim_suffix>", "<fim_middle>");
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.prefix_token_id", std::int64_t{1});
  metadata.Set("tokenizer.ggml.suffix_token_id", std::int64_t{2});
  metadata.Set("tokenizer.ggml.middle_token_id", std::int64_t{3});
  EXPECT_EQ(MustMake(metadata)->fill_tokens().middle, 3);
  metadata.Set("tokenizer.ggml.fim_pre_token_id", std::int64_t{4});
  metadata.Set("tokenizer.ggml.fim_suf_token_id", std::int64_t{5});
  EXPECT_EQ(MustMake(metadata)->fill_tokens().middle, 3) << "the newer keys are not whole";
  metadata.Set("tokenizer.ggml.fim_mid_token_id", std::int64_t{6});
  EXPECT_EQ(MustMake(metadata)->fill_tokens().middle, 6);
  metadata.Set("tokenizer.ggml.fim_mid_token_id", std::int64_t{1} << 40);
  const auto refused = Tokenizer::FromMetadata(metadata);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(), testing::HasSubstr("fim_mid_token_id"));
}

TEST(Fill, AVocabularyWithoutThemMakesNoPrompt) {
  EXPECT_THAT(MustMake(SmallByteLevel().Build())->EncodeFill("a", "b"), IsEmpty());
  // As normal tokens they are only text; two of three are of no use.
  const auto normal =
      WithFill(SmallByteLevel(), kNormal, "<fim_prefix>", "<fim_suffix>", "<fim_middle>");
  EXPECT_FALSE(MustMake(normal.Build())->fill_tokens().all());
  auto two = SmallByteLevel();
  two.Add("<fim_prefix>", kControl);
  two.Add("<fim_suffix>", kControl);
  EXPECT_EQ(MustMake(two.Build())->fill_tokens().prefix, -1);
}

TEST(Fill, SpecialTokensInTheTextsStayText) {
  for (const std::int64_t type : {kControl, kUserDefined}) {
    const auto v = WithFill(SmallByteLevel(), type, "<fim_prefix>", "<fim_suffix>", "<fim_middle>");
    const auto tokenizer = MustMake(v.Build());
    ASSERT_NE(tokenizer, nullptr);
    const FillTokens fill = tokenizer->fill_tokens();
    const std::string before = "a<fim_middle><|end|>b<fim_suffix>", after = "<fim_middle>c";
    const auto ids = tokenizer->EncodeFill(before, after);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), fill.prefix), 1);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), fill.suffix), 1);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), fill.middle), 1);
    EXPECT_EQ(ids.front(), fill.prefix);
    EXPECT_EQ(ids.back(), fill.middle);
    EXPECT_THAT(ids, Not(testing::Contains(v.Find("<|end|>"))));
    EXPECT_EQ(tokenizer->Decode(ids, /*show_special=*/true),
              "<fim_prefix>" + before + "<fim_suffix>" + after + "<fim_middle>");
  }
}

TEST(Fill, TheStartTokenComesFirstAndTheSecondTextGoesOnTheFirst) {
  auto v = WithFill(SmallSentencePiece(), kControl, "▁<PRE>", "▁<SUF>", "▁<MID>");
  Metadata metadata = v.Build();
  metadata.Set("tokenizer.ggml.bos_token_id", std::int64_t{1});
  metadata.Set("tokenizer.ggml.add_bos_token", true);
  const auto tokenizer = MustMake(metadata);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_THAT(tokenizer->EncodeFill("the", "the"),
              ElementsAre(1, v.Find("▁<PRE>"), v.Find("▁the"), v.Find("▁<SUF>"), v.Find("t"),
                          v.Find("he"), v.Find("▁<MID>")));
}

}  // namespace
}  // namespace tatara::text
