// Texts by character: ids, the part that validates, what is refused.
#include "tatara/corpus/char_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "test_support.h"

namespace tatara::corpus {
namespace {

using test::ScratchDir;
using testing::ElementsAre;
using testing::HasSubstr;

Result<CharText> Read(const std::string& content, double fraction = 0, std::string sha256 = {}) {
  const ScratchDir dir;
  std::ofstream(dir.path() / "text.txt", std::ios::binary) << content;
  return ReadCharText({.path = dir.path() / "text.txt",
                       .sha256 = std::move(sha256),
                       .validation_fraction = fraction});
}

TEST(CharText, IdsArePlacesAmongTheCharactersThatOccur) {
  const auto text = Read("ba猫b\n", 0.4);
  ASSERT_TRUE(text.ok()) << text.error().text();
  EXPECT_THAT(text->vocabulary, ElementsAre("\n", "a", "b", "猫"));
  EXPECT_THAT(text->training, ElementsAre(2, 1, 3));
  EXPECT_THAT(text->validation, ElementsAre(2, 0));
  EXPECT_EQ(text->Decode({3, 1, 9, -1}), "猫a");
  EXPECT_THAT(text->manifest, HasSubstr("\"training_tokens\":3"));
}

TEST(CharText, OneChangedCharacterIsAnotherDigest) {
  EXPECT_EQ(Read("abc").value().digest, Read("abc").value().digest);
  EXPECT_NE(Read("abc").value().digest, Read("abd").value().digest);
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
  EXPECT_TRUE(Read("").ok());
}

}  // namespace
}  // namespace tatara::corpus
