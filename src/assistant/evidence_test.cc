#include "evidence.h"

#include <gtest/gtest.h>

namespace tatara::assistant {
namespace {

using Strings = std::vector<std::string>;

search::Passage Passage(std::string text, int line_first = 10) {
  return {.document = "d.md",
          .title = "T",
          .heading_path = {"T", "H"},
          .line_first = line_first,
          .text = std::move(text)};
}

Strings Quotes(const search::Passage& passage) {
  Strings quotes;
  for (const QuoteUnit& unit : UnitsOf(passage, 0))
    quotes.push_back(passage.text.substr(unit.offset, unit.length));
  return quotes;
}

TEST(Evidence, UnitsAreSentencesItemsAndRows) {
  EXPECT_EQ(Quotes(Passage("一つ目の文。二つ目の文。\n三つ目！")),
            (Strings{"一つ目の文。", "二つ目の文。", "三つ目！"}));
  EXPECT_EQ(Quotes(Passage("- 項目一\n- 項目二。\n  続き\n1. 手順\n・点")),
            (Strings{"項目一", "項目二。", "続き", "手順", "点"}));
  EXPECT_EQ(Quotes(Passage("| a | b |\n|---|---|\n| c | 1.5 |")),
            (Strings{"| a | b |", "|---|---|", "| c | 1.5 |"}));
  EXPECT_EQ(Quotes(Passage("The valve opens at 0.93 MPa. It is\nsealed. See No. 5 here.")),
            (Strings{"The valve opens at 0.93 MPa.", "It is\nsealed.", "See No. 5 here."}));
}

TEST(Evidence, UnitsKnowTheirLines) {
  const auto units = UnitsOf(Passage("one two three\nfour. Five six seven.\n- eight", 7), 3);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].passage, 3u);
  EXPECT_EQ(units[0].line_first, 7);
  EXPECT_EQ(units[0].line_last, 8);
  EXPECT_EQ(units[1].line_first, 8);
  EXPECT_EQ(units[2].line_first, 9);
}

TEST(Evidence, LanguageIsThatOfMostLetters) {
  EXPECT_EQ(LanguageOf("TK-200の回転数は？"), Language::kJapanese);
  EXPECT_EQ(LanguageOf("ｶﾊﾞｰ"), Language::kJapanese);
  EXPECT_EQ(LanguageOf("How many years are inspection reports (検査成績書) kept?"),
            Language::kEnglish);
  EXPECT_EQ(LanguageOf("4711"), Language::kEnglish);
}

TEST(Evidence, NumbersCompareByValue) {
  EXPECT_EQ(NumbersOf("4,500 rpm、２．０ MPa、二十分"), (std::set<std::string>{"4500", "2", "20"}));
  EXPECT_EQ(NumbersOf("0.50 007 100"), (std::set<std::string>{"0.5", "7", "100"}));
  EXPECT_EQ(IdentifiersOf("TK-300とM4"), (std::set<std::string>{"tk300", "m4"}));
}

TEST(Evidence, ANumberThatNoPassageHasIsInvented) {
  const std::vector<search::Passage> passages = {Passage("圧力は 1.8 MPa とする。")};
  const Evidence evidence(passages, "TK-300の圧力は？", {});
  EXPECT_TRUE(evidence.InventedNumbers("TK-300は1.80 MPaです。").empty());
  EXPECT_EQ(evidence.InventedNumbers("2.4 MPaです。"), Strings{"2.4"});
}

TEST(Evidence, SupportIsTheShareOfTheSentencesOwnContent) {
  const std::vector<search::Passage> passages = {Passage("切りくずはかき棒で取る。")};
  const Evidence evidence(passages, "切りくずはどうしますか？", {});
  EXPECT_GT(evidence.Support("切りくずは、かき棒で取ります。"), 0.6);
  EXPECT_LT(evidence.Support("切りくずは、掃除機で吸引して廃棄業者に渡します。"), 0.34);
  EXPECT_FALSE(evidence.HasOtherLanguage(Language::kJapanese));
  EXPECT_TRUE(evidence.HasOtherLanguage(Language::kEnglish));
}

TEST(Evidence, ChoosesTheUnitThatSaysIt) {
  const std::vector<search::Passage> passages = {
      Passage("濃度は毎週測る。\n容量は、TK-200 が 180 L、TK-300 が 320 L "
              "である。\n廃液は青いタンクに集める。")};
  const Evidence evidence(passages, "TK-300の容量は？", {});
  const auto units = evidence.UnitsSaying("容量は320 Lです。", 3);
  ASSERT_EQ(units.size(), 1u);
  EXPECT_EQ(units[0].line_first, 11);
}

TEST(Evidence, AddsUnitsUntilAllNumbersAreCovered) {
  const std::vector<search::Passage> passages = {Passage("主軸は 500 rpm で回す。"),
                                                 Passage("時間は 15 分とする。")};
  const Evidence evidence(passages, "暖機は？", {});
  EXPECT_EQ(evidence.UnitsSaying("500 rpmで15分回します。", 3).size(), 2u);
  EXPECT_EQ(evidence.UnitsSaying("500 rpmで回します。", 3).size(), 1u);
  EXPECT_EQ(evidence.UnitsSaying("500 rpmで15分回します。", 1).size(), 1u);
}

TEST(Evidence, HostileTextIsHarmless) {
  for (const std::string& text :
       {std::string(), std::string("\n\n"), std::string(100'000, '.'), std::string(50'000, '|'),
        std::string("\xE3\x81"), std::string("。。。\n- \n1.")}) {
    const std::vector<search::Passage> passages = {Passage(text)};
    const Evidence evidence(passages, text, {text});
    (void)evidence.UnitsSaying(text, 3);
    (void)evidence.Support(text);
    EXPECT_LE(evidence.NearestUnit(0).length, text.size());
  }
}

}  // namespace
}  // namespace tatara::assistant
