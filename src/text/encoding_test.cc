#include "tatara/text/encoding.h"

#include <gtest/gtest.h>

namespace tatara::text {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSentence = "安全カバーを開けると停止する。";
constexpr std::string_view kSentenceCp932 =
    "\x88\xC0\x91\x53\x83\x4A\x83\x6F\x81\x5B\x82\xF0\x8A\x4A\x82\xAF\x82\xE9\x82\xC6\x92\xE2\x8E"
    "\x7E\x82\xB7"
    "\x82\xE9\x81\x42";
constexpr std::string_view kSentenceEucJp =
    "\xB0\xC2\xC1\xB4\xA5\xAB\xA5\xD0\xA1\xBC\xA4\xF2\xB3\xAB\xA4\xB1\xA4\xEB\xA4\xC8\xC4\xE4\xBB"
    "\xDF\xA4\xB9"
    "\xA4\xEB\xA1\xA3";

struct Read {
  std::string text;
  Encoding encoding;
};

Read Decoded(std::string_view bytes) {
  auto decoded = DecodeText("f.txt", AsBytes(bytes));
  EXPECT_TRUE(decoded.ok()) << decoded.error().text();
  if (!decoded.ok()) return {};
  return {decoded->text, decoded->encoding};
}

std::string Refusal(std::string_view bytes) {
  const auto decoded = DecodeText("f.txt", AsBytes(bytes));
  EXPECT_FALSE(decoded.ok()) << "read as " << EncodingName(decoded->encoding);
  return decoded.ok() ? "" : decoded.error().text();
}

TEST(Encoding, ReadsTheFourEncodingsAsOneText) {
  for (const auto& [bytes, encoding] :
       {std::pair{std::string(kSentence), Encoding::kUtf8},
        {"\xEF\xBB\xBF" + std::string(kSentence), Encoding::kUtf8Bom},
        {std::string(kSentenceCp932), Encoding::kShiftJis},
        {std::string(kSentenceEucJp), Encoding::kEucJp}}) {
    const Read read = Decoded(bytes);
    EXPECT_EQ(read.text, kSentence);
    EXPECT_EQ(EncodingName(read.encoding), EncodingName(encoding));
  }
}

TEST(Encoding, AsciiAndNothingAreUtf8) {
  EXPECT_EQ(Decoded("plain").encoding, Encoding::kUtf8);
  EXPECT_EQ(Decoded("").encoding, Encoding::kUtf8);
  EXPECT_EQ(Decoded("\xEF\xBB\xBF").text, "");
}

TEST(Encoding, ReadsWhatWindowsWritesInCp932) {
  // NEC row 13 (①, ㈱), IBM extensions (髙), half-width katakana, backslash.
  EXPECT_EQ(Decoded("\x87\x40\x87\x8A\xFB\xFC \xB6\xCA\xDE\xB0 C:\\x").text, "①㈱髙 ｶﾊﾞｰ C:\\x");
}

TEST(Encoding, ReadsJisX0212InEucJp) {
  EXPECT_EQ(Decoded("\x8F\xB0\xA1\xA4\xCE\xA1\xA3").text, "丂の。");
}

TEST(Encoding, KanaDecideWhereBothLegacyEncodingsAreValid) {
  // 安全 in EUC-JP reads as half-width katakana in CP932; so does a wrong reading of kana.
  EXPECT_EQ(Decoded("\xB0\xC2\xC1\xB4").text, "安全");
  EXPECT_EQ(Decoded("\xA4\xCE\xA4\xC8").text, "のと");
  // 潔癖ア is valid in both: CP932 readings win only with more kana or fewer half-width letters.
  const Read cp932 = Decoded("\xE0\xA1\x83\x41\xE0\xA1");
  EXPECT_EQ(EncodingName(cp932.encoding), "Shift_JIS");
}

TEST(Encoding, TheTieGoesToCp932) {
  // Two kanji in either reading: 0xE0A1 0xE0A2 has no kana and no half-width katakana in any.
  const Read read = Decoded("\xE0\xA1\xE0\xA2");
  EXPECT_EQ(EncodingName(read.encoding), "Shift_JIS");
}

TEST(Encoding, ValidUtf8WinsOverLegacyReadings) {
  // U+00B1 in UTF-8 is ﾂｱ in CP932 and a kanji in EUC-JP.
  EXPECT_EQ(Decoded("\xC2\xB1 0.05").text, "± 0.05");
}

TEST(Encoding, RefusesBinaryNamingTheOffset) {
  EXPECT_EQ(Refusal("ab\0cd"sv), "f.txt: not a text file: a NUL byte at offset 2");
  EXPECT_NE(Refusal("\xFF\xFE"
                    "a\0b\0"sv)
                .find("UTF-16"),
            std::string::npos);
  EXPECT_NE(Refusal("\x1B$B0B\x1B(B"sv).find("ISO-2022-JP text (escape at offset 0)"),
            std::string::npos);
}

TEST(Encoding, RefusesWhatIsNoneOfThemNamingEveryOffset) {
  EXPECT_EQ(Refusal("\xEF\xBB\xBF"
                    "ab\xFF"sv),
            "f.txt: starts as UTF-8, but the byte at offset 5 is not UTF-8");
  EXPECT_EQ(Refusal("abc\xFF\xFF"sv),
            "f.txt: no text encoding that is read here: not UTF-8 at offset 3, not Shift_JIS at "
            "offset 3, not "
            "EUC-JP at offset 3");
  // A truncated last character in each.
  EXPECT_FALSE(DecodeText("f", AsBytes(std::string(kSentenceCp932) + "\x88")).ok());
  EXPECT_FALSE(DecodeText("f", AsBytes(std::string(kSentenceEucJp) + "\xB0")).ok());
  // A Shift_JIS file with one character of Latin-1.
  EXPECT_FALSE(
      DecodeText("f", AsBytes(std::string(kSentenceCp932) + "\xFD" + std::string(kSentenceCp932)))
          .ok());
}

TEST(Encoding, Utf8IsStrict) {
  for (const std::string_view bad :
       {"\xC0\xAF"sv, "\xED\xA0\x80"sv, "\xF4\x90\x80\x80"sv, "\xE3\x81"sv, "\x80"sv,
        "\xF8\x88\x80\x80\x80"sv, "\xE0\x80\xAF"sv}) {
    EXPECT_EQ(FirstInvalidUtf8(bad), 0u);
    EXPECT_EQ(FirstInvalidUtf8("ok " + std::string(bad)), 3u);
  }
  EXPECT_EQ(FirstInvalidUtf8("\xF0\x9F\x94\xA7 \xE3\x81\x82"), std::nullopt);
}

}  // namespace
}  // namespace tatara::text
