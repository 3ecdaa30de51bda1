#include "split_regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vocabulary_for_test.h"

namespace tatara::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Matches(std::string_view expression, std::string_view text) {
  auto regex = SplitRegex::Compile(expression, "test");
  if (!regex.ok()) {
    ADD_FAILURE() << regex.error().text();
    return {};
  }
  std::vector<std::string> out;
  SplitRegex::Search search(*regex, text);
  for (SplitRegex::Match match; search.Next(match);) {
    out.emplace_back(text.substr(match.begin, match.end - match.begin));
  }
  return out;
}

std::string Refusal(std::string_view expression) {
  auto regex = SplitRegex::Compile(expression, "test");
  EXPECT_FALSE(regex.ok()) << expression;
  return regex.ok() ? "" : regex.error().text();
}

TEST(SplitRegex, TheFirstAlternativeThatMatchesWins) {
  EXPECT_THAT(Matches("a|ab|b", "abab"), ElementsAre("a", "b", "a", "b"));
  EXPECT_THAT(Matches("ab|a|b", "abab"), ElementsAre("ab", "ab"));
  EXPECT_THAT(Matches("(a|ab)(c|bcd)", "abcd"), ElementsAre("abcd"));
  EXPECT_THAT(Matches("a+?", "aaa"), ElementsAre("a", "a", "a"));
  EXPECT_THAT(Matches("a{2}", "aaaaa"), ElementsAre("aa", "aa"));
  EXPECT_THAT(Matches("a{2,3}", "aaaaa"), ElementsAre("aaa", "aa"));
  EXPECT_THAT(Matches("a{1,2}?b?", "aab"), ElementsAre("a", "ab"));
}

TEST(SplitRegex, LooksOneCharacterAheadAndBehind) {
  EXPECT_THAT(Matches(R"(\s+(?!\S)|\s+)", "a   b  "), ElementsAre("  ", " ", "  "));
  EXPECT_THAT(Matches(R"((?<=a)b)", "bab"), ElementsAre("b"));
  EXPECT_THAT(Matches(R"((?<!a)b)", "babb"), ElementsAre("b", "b"));
  EXPECT_THAT(Matches(R"(\bfoo\b)", "foo foobar foo"), ElementsAre("foo", "foo"));
  EXPECT_THAT(Matches(R"(\s+$)", "a  \n b  "), ElementsAre("  ", "  "));
}

TEST(SplitRegex, LooksFurtherAhead) {
  // Digits in threes from the right.
  EXPECT_THAT(Matches(R"(\d{1,3}(?=(?:\d{3})*\b))", "1234567 12 1000"),
              ElementsAre("1", "234", "567", "12", "1", "000"));
  EXPECT_THAT(Matches("a(?=bc|bd)", "abc abe abd"), ElementsAre("a", "a"));
  EXPECT_THAT(Matches("a(?!bc)", "abc abe"), ElementsAre("a"));
  // Empty matches, as places to cut.
  EXPECT_EQ(Matches(R"((?=(\d{3})+(?!\d)))", "1234567").size(), 2u);
}

TEST(SplitRegex, PossessiveQuantifiersGiveNothingBack) {
  EXPECT_THAT(Matches("a++b|a", "aab"), ElementsAre("aab"));
  EXPECT_THAT(Matches("[ab]++b", "aab"), ElementsAre());
  EXPECT_THAT(Matches("a?+a", "a"), ElementsAre());
  EXPECT_THAT(Matches("a?+a", "aa"), ElementsAre("aa"));
  // After a count the sign repeats once more, as in Ruby.
  EXPECT_THAT(Matches("(?:ab){1,2}+", "ababab"), ElementsAre("ababab"));
}

TEST(SplitRegex, ClassesNestIntersectAndIgnoreCase) {
  EXPECT_THAT(Matches(R"([\p{L}&&[^\p{Han}]]+)", "ab漢字cdかな"), ElementsAre("ab", "cdかな"));
  EXPECT_THAT(Matches("[a-c[x-z]]+", "abxyq"), ElementsAre("abxy"));
  EXPECT_THAT(Matches("(?i:'s|k)", "'S'\xC5\xBF\xE2\x84\xAAk"),
              ElementsAre("'S", "'\xC5\xBF", "\xE2\x84\xAA", "k"));
  EXPECT_THAT(Matches("(?i:a)b", "AbAB"), ElementsAre("Ab"));
  EXPECT_THAT(Matches(R"([^\r\n\p{L}\p{N}]?\p{L}+)", " ab\tcd1"), ElementsAre(" ab", "\tcd"));
  EXPECT_THAT(Matches(R"([一-龥\x{3040}-\u309f]+)", "漢あア"), ElementsAre("漢あ"));
  EXPECT_THAT(Matches("[]a]+", "]a[b"), ElementsAre("]a"));
  EXPECT_THAT(Matches("a{b", "a{b"), ElementsAre("a{b"));
}

TEST(SplitRegex, AFewQuantifiersMayFollowEachOther) {
  EXPECT_THAT(Matches("(?:ab{2}*)c|.", "abbbbcx"), ElementsAre("abbbbc", "x"));
}

TEST(SplitRegex, InvalidBytesAreReplacementCharacters) {
  EXPECT_THAT(Matches(R"(\x{FFFD}+|a)", "a\xFF\xE3\x81"), ElementsAre("a", "\xFF\xE3\x81"));
  EXPECT_THAT(Matches(R"(\p{L}+)", "\xFF\xC3\xA4"), ElementsAre("\xC3\xA4"));
}

TEST(SplitRegex, RefusesByNameWhatItLacks) {
  EXPECT_THAT(Refusal("(a)\\1"), HasSubstr("back reference"));
  EXPECT_THAT(Refusal("(?>a|ab)c"), HasSubstr("atomic group"));
  EXPECT_THAT(Refusal("(?<=ab)c"), HasSubstr("look-behind"));
  EXPECT_THAT(Refusal("(?:ab)++"), HasSubstr("possessive"));
  EXPECT_THAT(Refusal("\\p{Nonsense}"), HasSubstr("property"));
  EXPECT_THAT(Refusal("a)"), HasSubstr("unmatched"));
  EXPECT_THAT(Refusal("(a"), HasSubstr("without an end"));
  EXPECT_THAT(Refusal("[a"), HasSubstr("without an end"));
  EXPECT_THAT(Refusal("*a"), HasSubstr("quantifier"));
  EXPECT_THAT(Refusal("[b-a]"), HasSubstr("backwards"));
  EXPECT_THAT(Refusal("a\\"), HasSubstr("backslash"));
  EXPECT_THAT(Refusal("[[:alpha:]]"), HasSubstr("POSIX"));
  EXPECT_THAT(Refusal("a(?=b(?=cd)e)"), HasSubstr("look-ahead"));
  EXPECT_THAT(Refusal("(((a{2000}){2000}){2000})"), HasSubstr("instructions"));
  EXPECT_THAT(Refusal("(?:a|b)*a(?:a|b){20}"), HasSubstr("too large"));
  EXPECT_THAT(Refusal(std::string(200, '(')), HasSubstr("nested"));
  EXPECT_THAT(Refusal("a" + std::string(65000, '*')), HasSubstr("stacked too deep"));
  std::string spread = "a";  // some behind each of many groups
  for (int i = 0; i < 90; ++i) spread = "(" + spread + ")***";
  EXPECT_THAT(Refusal(spread), HasSubstr("stacked too deep"));
}

TEST(SplitRegex, AnExpressionThatReadsAheadAgainAndAgainIsCutShort) {
  // Each match is one x, and each needs a look to the end of the run.
  const std::string text(std::size_t{1} << 20, 'x');
  EXPECT_LT(Matches("x*y|x", text).size(), text.size());
}

}  // namespace
}  // namespace tatara::text
