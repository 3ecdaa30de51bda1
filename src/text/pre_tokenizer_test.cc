#include "pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "named_splits.h"
#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> PiecesOf(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::string> pieces;
  pre_tokenizer.Split(text, true, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

Result<PreTokenizer> Named(std::string_view name) {
  TATARA_TRY(const NamedSplits splits, SplitsOfName(name, "test"));
  return PreTokenizer::OfExpressions(splits.expressions, "test");
}

std::vector<std::string> Pieces(std::string_view name, std::string_view text) {
  const auto pre_tokenizer = Named(name);
  if (pre_tokenizer.ok()) return PiecesOf(*pre_tokenizer, text);
  ADD_FAILURE() << pre_tokenizer.error().text();
  return {};
}

// Expected splits are those of the Python package tokenizers 0.23.3 with the published expressions.
TEST(PreTokenizer, Gpt2SplitsAsPublished) {
  EXPECT_THAT(
      Pieces("gpt-2", "Hello  world, it's 2024年!  \n x"),
      ElementsAre("Hello", " ", " world", ",", " it", "'s", " 2024", "年", "!", "  \n", " x"));
  EXPECT_THAT(Pieces("gpt-2", "I'LL a\u0085b\u3000\u3000c"),
              ElementsAre("I", "'", "LL", " a", "\u0085", "b", "\u3000", "\u3000", "c"));
}

TEST(PreTokenizer, SmolLmTakesDigitsOneByOneBeforeAnythingElse) {
  EXPECT_THAT(Pieces("smollm", "at 12  3½x"),
              ElementsAre("at", " ", "1", "2", "  ", "3", "½", "x"));
}

TEST(PreTokenizer, Qwen2SplitsAsPublished) {
  EXPECT_THAT(Pieces("qwen2", "I'LL (say) 12\n\n  x\u017F 'ſ ok!\r\n"),
              ElementsAre("I", "'LL", " (", "say", ")", " ", "1", "2", "\n\n", " ", " x\u017F",
                          " '", "ſ", " ok", "!\r\n"));
  EXPECT_THAT(Pieces("qwen2", "it'ſ 日本語、テスト"),
              ElementsAre("it", "'ſ", " 日本語", "、テスト"));
}

TEST(PreTokenizer, OthersSplitAsPublished) {
  EXPECT_THAT(Pieces("llama-bpe", "I'LL 12345\n\n x"),
              ElementsAre("I", "'LL", " ", "123", "45", "\n\n", " x"));
  EXPECT_THAT(Pieces("gpt-4o", "HelloWorld's ABCdef"), ElementsAre("Hello", "World's", " ABCdef"));
  EXPECT_THAT(Pieces("tekken", "HelloWorld's 12"),
              ElementsAre("Hello", "World", "'s", " ", "1", "2"));
  EXPECT_THAT(Pieces("kimi-k2", "Hello世界 ok"), ElementsAre("Hello", "世界", " ok"));
  EXPECT_THAT(Pieces("deepseek-v3", "x1234日本語カナ.com!"),
              ElementsAre("x", "123", "4", "日本語カナ", ".com", "!"));
  EXPECT_THAT(Pieces("tiny_aya", "1234567 ab"), ElementsAre("1", "234", "567", " ab"));
  EXPECT_THAT(Pieces("superbpe", "a 1234567 b"), ElementsAre("a ", "1", "234", "567", " b"));
  EXPECT_THAT(Pieces("qwen35", "e\u0301a \u0301"), ElementsAre("e\u0301a", " \u0301"));
  EXPECT_THAT(Pieces("bloom", "ab (cd, ef"), ElementsAre("ab", " (", "cd", ",", " ef"));
  EXPECT_THAT(Pieces("starcoder", "a12 b"), ElementsAre("a", "1", "2", " b"));
}

TEST(PreTokenizer, DefaultCutsDigitsInThrees) {
  EXPECT_THAT(Pieces("default", "a 12345$$b"), ElementsAre("a", " ", "123", "45", "$$", "b"));
}

// U+180E was white space until Unicode 6.3; the regular expression library still says so.
TEST(PreTokenizer, WhiteSpaceIsUnicodes) {
  EXPECT_THAT(Pieces("gpt-2", "a\u180E b"), ElementsAre("a", "\u180E", " b"));
  EXPECT_THAT(Pieces("gpt-2", "!\u0085?"), ElementsAre("!", "\u0085", "?"));
  EXPECT_THAT(Pieces("gpt-2", "a \u2028\u00A0 b"), ElementsAre("a", " \u2028\u00A0", " b"));
}

TEST(PreTokenizer, InvalidPartsSplitLikeTheReplacementCharacter) {
  const std::string bytes = "ab\xFF\xE3\x81 c\xC3\xA9\x80!";
  EXPECT_THAT(Pieces("qwen2", bytes), ElementsAre("ab", "\xFF\xE3\x81", " cé", "\x80!"));
}

TEST(PreTokenizer, PiecesJoinedAreTheText) {
  RandomForTest random(3);
  for (const std::string_view name : KnownSplitNames()) {
    const auto pre_tokenizer = Named(name);
    ASSERT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.error().text();
    for (int i = 0; i < 40; ++i) {
      const std::string text = i % 2 == 0 ? random.Unicode(60) : random.Bytes(60);
      std::string joined;
      for (const std::string& piece : PiecesOf(*pre_tokenizer, text)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      EXPECT_EQ(joined, text);
    }
  }
}

TEST(PreTokenizer, UnknownNamesAreRefusedWithTheNearest) {
  const auto refused = SplitsOfName("deepseek-lm", "file.gguf");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().text(),
              HasSubstr("file.gguf: 'tokenizer.ggml.pre' is 'deepseek-lm'"));
  EXPECT_THAT(refused.error().text(), HasSubstr("'deepseek-llm'"));
}

}  // namespace
}  // namespace tatara::text
