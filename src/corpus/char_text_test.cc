// Texts by character: ids, the part that validates, what is refused.
#include "tatara/corpus/char_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "test_support.h"

namespace tatara::corpus {
namespace {

using test::ScratchDir;
using testing::ElementsAre;
using testing::HasSubstr;

Result<CharText> Read(const std::string& content, double fraction = 0, std::string sha256 = {}) {
  const ScratchDir dir;
  std::ofstream(dir.path() / "text.txt", std::ios::binary) << content;
  return CharText::Read({.path = dir.path() / "text.txt",
                         .sha256 = std::move(sha256),
                         .validation_fraction = fraction});
}

TEST(CharText, IdsArePlacesAmongTheCharactersThatOccur) {
  const auto text = Read("ba猫b\n", 0.4);
  ASSERT_TRUE(text.ok()) << text.error().text();
  EXPECT_THAT(text->vocabulary(), ElementsAre("\n", "a", "b", "猫"));
  EXPECT_THAT(text->training(), ElementsAre(2, 1, 3));
  EXPECT_THAT(text->validation(), ElementsAre(2, 0));
  EXPECT_EQ(text->Decode(std::vector<std::int32_t>{3, 1, 9, -1}), "猫a");
  EXPECT_THAT(text->manifest(), HasSubstr("\"training_tokens\":3"));
}

TEST(CharText, OneChangedCharacterIsAnotherDigest) {
  EXPECT_EQ(Read("abc").value().digest(), Read("abc").value().digest());
  EXPECT_NE(Read("abc").value().digest(), Read("abd").value().digest());
}

TEST(CharText, SequencesAreWindowsByNumberAndValidationFollowsItself) {
  const auto text = Read("abcdefghijklmnopqrstuvwxyz", 0.5);
  std::vector<std::int32_t> tokens(4), targets(4), first_keys(4, 7), again(4);
  ASSERT_TRUE(text->CheckContext(12).ok());
  EXPECT_THAT(text->CheckContext(13).error().text(), HasSubstr("13 tokens"));
  std::set<std::int32_t> starts;
  for (std::uint64_t number = 0; number < 200; ++number) {
    ASSERT_TRUE(text->Training(5, number, {tokens, targets, first_keys}).ok());
    starts.insert(tokens[0]);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(targets[i], tokens[0] + int(i) + 1);
    ASSERT_TRUE(text->Training(5, number, {again, targets, first_keys}).ok());
    EXPECT_EQ(again, tokens);
  }
  EXPECT_EQ(starts.size(), 9U);  // every place was drawn: 13 - 4
  EXPECT_THAT(first_keys, ElementsAre(0, 0, 0, 0));
  ASSERT_EQ(text->n_validation(4), 3);
  ASSERT_TRUE(text->Validation(1, {tokens, targets, first_keys}).ok());
  EXPECT_THAT(tokens, ElementsAre(17, 18, 19, 20));
  EXPECT_THAT(targets, ElementsAre(18, 19, 20, 21));
}

TEST(CharText, WhatIsNotUtf8IsRefusedByItsOffset) {
  for (const char* bad : {"ab\x80", "ab\xc3", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf5\x80\x80\x80",
                          "ab\xe3\x81", "ab\xf0\x80\x80\x80"}) {
    const auto text = Read(bad);
    ASSERT_FALSE(text.ok()) << bad;
    EXPECT_THAT(text.error().text(), HasSubstr("byte 2"));
  }
}

TEST(CharText, AnotherDigestOrFractionIsRefused) {
  EXPECT_THAT(Read("a", 0, "00").error().text(), HasSubstr("SHA-256"));
  EXPECT_THAT(Read("a", 1).error().text(), HasSubstr("validate"));
  EXPECT_THAT(Read("").error().text(), HasSubstr("text.txt: the text is empty"));
  EXPECT_THAT(Read("abc").value().CheckContext(3).error().text(), HasSubstr("text.txt: 3 tokens"));
}

}  // namespace
}  // namespace tatara::corpus
