#include "tatara/base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace tatara {
namespace {

TEST(Utf8, EveryScalarValueReadsBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    AppendUtf8(text, c);
    const Utf8Sequence sequence = ReadUtf8(text);
    ASSERT_TRUE(sequence.valid) << std::hex << static_cast<std::uint32_t>(c);
    ASSERT_EQ(sequence.code_point, c);
    ASSERT_EQ(sequence.length, text.size());
    ASSERT_EQ(Utf8Length(text[0]), text.size());
    ASSERT_TRUE(IsValidUtf8(text));
  }
}

// The examples of the Unicode standard, tables 3-8 to 3-11, and the ends of every range of table
// 3-7.
TEST(Utf8, InvalidPartsAreReplacedByMaximalSubparts) {
  const std::string r(kReplacement);
  const std::pair<std::string, std::string> kCases[] = {
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", r + r + r + r + r + r + r + r + "A"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", r + r + r + r + r + "A" + r + r + "B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},
      {"\xC1\xBF", r + r},
      {"\xE0\x9F\xBF", r + r + r},
      {"\xF0\x8F\xBF\xBF", r + r + r + r},
      {"\xF4\x90\x80\x80", r + r + r + r},
      {"\xF5\x80", r + r},
      {"\xE3\x81", r},
      {"\xE3", r},
      {"a\xF0\x9F\x94", "a" + r},
      {"\xE3\x81\xE3\x81\x82", r + "あ"},
      {"", ""},
  };
  for (const auto& [bytes, expected] : kCases) {
    EXPECT_EQ(ReplaceInvalidUtf8(bytes), expected);
    EXPECT_EQ(IsValidUtf8(bytes), bytes == expected);
  }
}

TEST(Utf8, OnlyCompletableSequencesCountAsTruncated) {
  for (const char* bytes : {"\xC2", "\xE3", "\xE3\x81", "\xF0\x9F", "\xF0\x9F\x94"}) {
    EXPECT_TRUE(ReadUtf8(bytes).truncated) << bytes;
  }
  for (const char* bytes : {"\xC1", "\x80", "\xFF", "\xE3\x41", "\xED\xA0", "\xF4\x90", "a"}) {
    EXPECT_FALSE(ReadUtf8(bytes).truncated) << bytes;
  }
}

TEST(Utf8, AsciiPrefixEndsAtTheFirstOtherByte) {
  for (std::size_t n = 0; n < 40; ++n) {
    EXPECT_EQ(AsciiPrefix(std::string(n, 'x')), n);
    EXPECT_EQ(AsciiPrefix(std::string(n, 'x') + "\xE3\x81\x82xxxxxxxxx"), n);
  }
}

TEST(Utf8, WhatIsShownInErrorsIsOneShortPrintableLine) {
  EXPECT_EQ(Printable("a name"), "a name");
  EXPECT_EQ(Printable("a\x1b[2J\n\x7f"), "a?[2J??");
  EXPECT_EQ(Printable("\xE3\x81\x82\xE3\x81"), "あ??");
  EXPECT_EQ(Printable(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(Printable(std::string(81, 'x')), std::string(80, 'x') + "...");
}

}  // namespace
}  // namespace tatara
