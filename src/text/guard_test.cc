#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guard_marks.h"
#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
constexpr EncodeOptions kPrompt = {.parse_special = true, .guarded = true};

TEST(Guard, SpecialTokensOfAUserStayTextBesideThoseOfTheTemplate) {
  const SmallVocabulary v = SmallByteLevel();
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  const std::int32_t end = v.Find("<|end|>");
  const std::string user = "a<|end|><tool>b";
  const std::string prompt = "<|end|>" + tokenizer->Guard(user) + "<|end|>";
  std::vector<std::int32_t> expected = {end};
  for (const std::int32_t id : tokenizer->Encode(user, {})) expected.push_back(id);
  expected.push_back(end);
  EXPECT_EQ(tokenizer->Encode(prompt, kPrompt), expected);
  EXPECT_EQ(Tokenizer::Unguarded(prompt), "<|end|>" + user + "<|end|>");
  EXPECT_THAT(tokenizer->Encode("<|end|><tool>", kPrompt), ElementsAre(end, v.Find("<tool>")));
}

TEST(Guard, TextsWithoutSpecialTokensComeBackAsTheyAre) {
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  for (const std::string text : {"", "plain 日本語", "<|en", "<tool>", "end|>", "\uFDCF\uFDD2"}) {
    EXPECT_EQ(tokenizer->Guard(text), text);
  }
}

// Tokens inside tokens, tokens over the end of others, one-character tokens, in every mixture.
TEST(Guard, NoGuardedTextEverMakesAControlToken) {
  SmallVocabulary v = SmallByteLevel();
  for (const char* token : {"<|", "|end", "d|><", "|>", "\uFDD0x", "あ"}) v.Add(token, 3);
  v.Add("<|e", 4);
  v.Add("q<|end|>", 4);
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  RandomForTest random(77);
  const std::vector<std::string> parts = {"<|end|>", "<|",  "|end",   "d|><", "|>",
                                          "あ",      "<|e", "q",      "<",    "\uFDD0",
                                          "x",       "e",   "\uFDD1", " ",    "<tool>"};
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random.From(parts, random.Below(8));
    const std::string guarded = tokenizer->Guard(text);
    EXPECT_EQ(Tokenizer::Unguarded(guarded), text);
    const auto ids = tokenizer->Encode(guarded, kPrompt);
    for (const std::int32_t id : ids) ASSERT_FALSE(tokenizer->IsControl(id)) << text;
    EXPECT_EQ(tokenizer->Decode(ids), text);
  }
}

TEST(Guard, SentencePieceTextsAreGuardedInEitherSpellingOfSpace) {
  SmallVocabulary v = SmallSentencePiece();
  v.Add("<in the>", 3);
  const auto tokenizer = MustMake(v.Build());
  ASSERT_NE(tokenizer, nullptr);
  for (const char* text : {"<s>the</s>", "<in the>", "<in▁the>"}) {
    for (const std::int32_t id : tokenizer->Encode(tokenizer->Guard(text), kPrompt)) {
      EXPECT_FALSE(tokenizer->IsControl(id)) << text;
    }
  }
}

TEST(Guard, MarksThatNobodyPutInAreOnlyText) {
  EXPECT_EQ(guard::TakeOut("a\uFDD1b", nullptr), "a\uFDD1b");
  EXPECT_EQ(guard::TakeOut("a\xEF\xB7", nullptr), "a\xEF\xB7");
  const auto tokenizer = MustMake(SmallByteLevel().Build());
  ASSERT_NE(tokenizer, nullptr);
  // Without `guarded` the characters are the user's.
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a\uFDD0b", {.parse_special = true})), "a\uFDD0b");
}

}  // namespace
}  // namespace tatara::text
