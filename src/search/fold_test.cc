#include "tatara/search/fold.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tatara::search {
namespace {

std::vector<std::string> Texts(std::string_view text) {
  std::vector<std::string> texts;
  for (const Term& term : TermsOf(text)) texts.push_back(term.text);
  return texts;
}

bool Has(std::string_view text, std::string_view term) {
  const std::vector<std::string> texts = Texts(text);
  return std::find(texts.begin(), texts.end(), term) != texts.end();
}

std::vector<std::string> Asked(std::string_view text) {
  std::vector<std::string> texts;
  for (const Term& term : TermsOfQuestion(text)) texts.push_back(term.text);
  return texts;
}

TEST(Fold, KanaAndWidthAndLongVowelsAreOne) {
  const std::vector<std::string> expected = Texts("カバー");
  EXPECT_EQ(expected, std::vector<std::string>{"かば"});
  for (const std::string_view same : {"かばー", "ｶﾊﾞｰ", "カバ", "かば"})
    EXPECT_EQ(Texts(same), expected) << same;
  EXPECT_EQ(Texts("センサー"), Texts("センサ"));
}

TEST(Fold, CjkRunsGiveBigramsAndKanji) {
  EXPECT_EQ(Texts("主軸が"), (std::vector<std::string>{"主", "主軸", "軸", "軸が"}));
  EXPECT_EQ(Texts("油"), std::vector<std::string>{"油"});
  EXPECT_EQ(Texts("主。軸"), (std::vector<std::string>{"主", "軸"}));
}

TEST(Fold, WordsAndNumbersMeetInTheirVariants) {
  for (const std::string_view model : {"TK-200", "ＴＫ－２００", "tk200", "TK_200"}) {
    EXPECT_TRUE(Has(model, "tk200")) << model;
  }
  EXPECT_TRUE(Has("±0.05 mm", "0.05"));
  EXPECT_TRUE(Has("12,000 rpm", "12000"));
  EXPECT_EQ(Texts("doors"), Texts("door"));
  EXPECT_EQ(Texts("stopped"), Texts("stop"));
  EXPECT_EQ(Texts("batteries"), Texts("battery"));
  EXPECT_EQ(Texts("㎜"), Texts("mm"));
}

TEST(Fold, KanjiNumbersAreAlsoDigits) {
  EXPECT_TRUE(Has("二十分", "20"));
  EXPECT_TRUE(Has("百二十時間", "120"));
  EXPECT_TRUE(Has("二〇二六年", "2026"));
  EXPECT_TRUE(Has("三年", "3"));
}

TEST(Fold, WhatOnlyAsksIsNoTerm) {
  EXPECT_EQ(Asked("主軸とは何ですか？"), (std::vector<std::string>{"主", "主軸", "軸"}));
  EXPECT_EQ(Asked("What is the door?"), std::vector<std::string>{"door"});
  EXPECT_TRUE(Asked("どのくらいですか").empty());
}

TEST(Fold, AQuestionInHiraganaAloneCountsItsKana) {
  for (const Term& term : TermsOfQuestion("あんぜんかばー")) EXPECT_EQ(term.weight, 1) << term.text;
  bool light = false;
  for (const Term& term : TermsOfQuestion("安全かばー")) light |= term.weight < 0.5;
  EXPECT_TRUE(light);
}

TEST(Fold, HostileTextGivesBoundedTerms) {
  for (const Term& term : TermsOf(std::string(100'000, 'a'))) EXPECT_LE(term.text.size(), 64u);
  std::string digits;
  for (int i = 0; i < 1000; ++i) digits += "九";
  for (const Term& term : TermsOf(digits)) EXPECT_LE(term.text.size(), 12u);
  (void)TermsOf("\xFF\xFE\x80 ok");
}

}  // namespace
}  // namespace tatara::search
