#include "tatara/learn/held_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "test_support.h"

namespace tatara::learn {
namespace {

TEST(HeldOut, AKeyIsFoundWholeAndInAnyCase) {
  EXPECT_TRUE(HasKey("Mixed at 8 percent.", "8 percent"));
  EXPECT_TRUE(HasKey("The RED drum", "red"));
  EXPECT_TRUE(HasKey("between 8.8 and 9.4.", "9.4"));
  EXPECT_TRUE(HasKey("on form W-12", "W-12"));
  EXPECT_FALSE(HasKey("a hundred", "red"));
  EXPECT_FALSE(HasKey("18 percent", "8 percent"));
  EXPECT_FALSE(HasKey("8.8", "8"));
  EXPECT_FALSE(HasKey("pH 0.8", "8"));
  EXPECT_FALSE(HasKey("1,400", "1"));
  EXPECT_FALSE(HasKey("", "red"));
  EXPECT_TRUE(HasKey("not 18 but 8", "8"));
}

TEST(HeldOut, WhatIsWrittenWithoutSpacesHasNoLongerWords) {
  EXPECT_TRUE(HasKey("主軸の温度は60℃以下です。", "60℃"));
  EXPECT_TRUE(HasKey("締付けトルクは8 N·mです", "8 n·m"));
  EXPECT_TRUE(HasKey("非常停止ボタンを押します", "停止ボタン"));
  EXPECT_TRUE(HasKey("turn it by 20° or “30”", "20"));
  EXPECT_TRUE(HasKey("turn it by 20° or “30”", "30"));
  EXPECT_FALSE(HasKey("温度は160℃です", "60℃"));
  EXPECT_FALSE(HasKey("une fenêtre", "fen"));
  EXPECT_TRUE(HasKey("broken \xFF 8 \xE3", "8"));
}

// Values of Wilson's formula, worked out by hand with z = 1.96.
TEST(HeldOut, TheIntervalIsWilsons) {
  const Proportion none = WilsonInterval(0, 48), half = WilsonInterval(24, 48);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.0741, 1e-3);
  EXPECT_NEAR(half.low, 0.364, 1e-3);
  EXPECT_NEAR(half.high, 0.636, 1e-3);
  EXPECT_EQ(WilsonInterval(48, 48).high, 1);
}

TEST(HeldOut, ABrokenLineIsNamed) {
  const test::ScratchDir dir;
  const auto path = dir.path() / "q.jsonl";
  std::ofstream(path) << R"({"question": "a", "answer": "b", "keys": ["c", "d"]})"
                      << "\n\n"
                      << R"({"question": "e", "keys": ["f"]})";
  const auto questions = ReadHeldOut(path);
  ASSERT_TRUE(questions.ok()) << questions.error().text();
  ASSERT_EQ(questions->size(), 2U);
  EXPECT_THAT(questions->front().keys, testing::ElementsAre("c", "d"));
  for (const char* broken : {"[]", "{\"question\": \"a\"}", "{\"question\": 1, \"keys\": [\"a\"]}",
                             "{\"question\": \"a\", \"keys\": [\"\"]}", "no"}) {
    std::ofstream(path) << "\n" << broken;
    EXPECT_THAT(ReadHeldOut(path).error().text(), testing::HasSubstr(":2:")) << broken;
  }
  std::ofstream(path) << "\n";
  EXPECT_FALSE(ReadHeldOut(path).ok());
}

}  // namespace
}  // namespace tatara::learn
