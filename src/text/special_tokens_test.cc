#include "special_tokens.h"

#include <gtest/gtest.h>

#include <string>

namespace tatara::text {
namespace {

TEST(SpecialTokens, LeftmostWinsThenLongest) {
  const SpecialTokens tokens({{"<a>", 1}, {"<a>b", 2}, {"b<a>bc", 3}, {"c", 4}, {"", 5}});
  const auto found = [&](std::string_view text, std::size_t from = 0) {
    const SpecialTokens::Match match = tokens.Find(text, from);
    return std::to_string(match.begin) + "+" + std::to_string(match.length) + ":" +
           std::to_string(match.id);
  };
  EXPECT_EQ(found("x<a>b"), "1+4:2");
  EXPECT_EQ(found("x<a>"), "1+3:1");
  EXPECT_EQ(found("x<a><a>b"), "1+3:1");
  EXPECT_EQ(found("b<a>bc"), "0+6:3");
  EXPECT_EQ(found("b<a>bd"), "1+4:2");
  EXPECT_EQ(found("b<a"), "0+0:-1");
  EXPECT_EQ(found(""), "0+0:-1");
  EXPECT_EQ(found("<a>c", 1), "3+1:4");
}

TEST(SpecialTokens, NoneAreFoundWhereThereAreNone) {
  EXPECT_EQ(SpecialTokens().Find("abc", 0).id, -1);
  std::vector<std::pair<std::string_view, std::int32_t>> none;
  EXPECT_EQ(SpecialTokens(none).Find("abc", 0).id, -1);
}

TEST(SpecialTokens, ManyRepeatsOfAPrefixAreFound) {
  std::vector<std::string> texts;
  std::vector<std::pair<std::string_view, std::int32_t>> tokens;
  for (int n = 1; n <= 31; ++n) texts.push_back(std::string(static_cast<std::size_t>(n), '\n'));
  for (std::size_t i = 0; i < texts.size(); ++i)
    tokens.emplace_back(texts[i], static_cast<std::int32_t>(i));
  const SpecialTokens special(std::move(tokens));
  EXPECT_EQ(special.Find(std::string(100, '\n'), 0).length, 31u);
  EXPECT_EQ(special.Find(std::string(100, '\n'), 93).length, 7u);
}

}  // namespace
}  // namespace tatara::text
