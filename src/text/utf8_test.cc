#include "utf8.h"

#include <gtest/gtest.h>

#include "unicode/uchar.h"
#include "unicode/uvernum.h"
#include "unicode_categories.h"

namespace tatara::text {
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

// ICU is a second source: what its (older or newer) Unicode has assigned must agree, but for the
// few characters whose category a later version changed.
TEST(UnicodeCategories, AgreeWithIcu) {
  int n_changed = 0, n_compared = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    static constexpr GeneralCategory kOfIcu[] = {
        GeneralCategory::kCn, GeneralCategory::kLu, GeneralCategory::kLl, GeneralCategory::kLt,
        GeneralCategory::kLm, GeneralCategory::kLo, GeneralCategory::kMn, GeneralCategory::kMe,
        GeneralCategory::kMc, GeneralCategory::kNd, GeneralCategory::kNl, GeneralCategory::kNo,
        GeneralCategory::kZs, GeneralCategory::kZl, GeneralCategory::kZp, GeneralCategory::kCc,
        GeneralCategory::kCf, GeneralCategory::kCo, GeneralCategory::kCs, GeneralCategory::kPd,
        GeneralCategory::kPs, GeneralCategory::kPe, GeneralCategory::kPc, GeneralCategory::kPo,
        GeneralCategory::kSm, GeneralCategory::kSc, GeneralCategory::kSk, GeneralCategory::kSo,
        GeneralCategory::kPi, GeneralCategory::kPf};
    const int icu = u_charType(static_cast<UChar32>(c));
    ASSERT_LT(icu, static_cast<int>(std::size(kOfIcu)));
    ASSERT_EQ(IsWhiteSpace(c), u_isUWhiteSpace(static_cast<UChar32>(c)) != 0);
    const GeneralCategory ours = CategoryOf(c);
    if (icu == U_UNASSIGNED || ours == GeneralCategory::kCn) continue;  // one version is older
    ++n_compared;
    n_changed += ours != kOfIcu[icu];
  }
  EXPECT_GT(n_compared, 280000);
  EXPECT_LE(n_changed, 10);
}

TEST(UnicodeCategories, HaveTheirNames) {
  EXPECT_EQ(NameOf(CategoryOf(U'A')), "Lu");
  EXPECT_EQ(NameOf(CategoryOf(U'あ')), "Lo");
  EXPECT_EQ(NameOf(CategoryOf(U'ー')), "Lm");
  EXPECT_EQ(NameOf(CategoryOf(U'５')), "Nd");
  EXPECT_EQ(NameOf(CategoryOf(U'〇')), "Nl");
  EXPECT_EQ(NameOf(CategoryOf(U'½')), "No");
  EXPECT_EQ(NameOf(CategoryOf(U'。')), "Po");
  EXPECT_EQ(NameOf(CategoryOf(U'　')), "Zs");
  EXPECT_EQ(NameOf(CategoryOf(0x10FFFF)), "Cn");
}

}  // namespace
}  // namespace tatara::text
