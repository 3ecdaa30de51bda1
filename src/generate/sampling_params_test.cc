#include <gtest/gtest.h>

#include <limits>

#include "json_text.h"
#include "tatara/base/philox.h"
#include "tatara/generate/engine.h"

namespace tatara::generate {
namespace {

TEST(SamplingParams, AreWrittenCanonically) {
  EXPECT_EQ(SamplingToJson({}),
            R"({"frequency_penalty":0,"logit_bias":[],"min_p":0,"presence_penalty":0,)"
            R"("repetition_penalty":1,"seed":null,"temperature":0,"top_k":0,"top_p":1})");
  const SamplingParams full{.temperature = 0.7,
                            .top_k = 40,
                            .top_p = 0.95,
                            .min_p = 0.05,
                            .repetition_penalty = 1.1,
                            .presence_penalty = -0.5,
                            .frequency_penalty = 1e-7,
                            .logit_bias = {{9, -100}, {3, 0.25}},
                            .seed = 18446744073709551615u};
  EXPECT_EQ(SamplingToJson(full),
            R"({"frequency_penalty":1e-7,"logit_bias":[[3,0.25],[9,-100]],"min_p":0.05,)"
            R"("presence_penalty":-0.5,"repetition_penalty":1.1,"seed":18446744073709551615,)"
            R"("temperature":0.7,"top_k":40,"top_p":0.95})");
}

TEST(SamplingParams, ComeBackFromTheirJsonBitForBit) {
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const auto unit = [&](std::uint64_t j) {
      return RandomUnit({.seed = 3,
                         .purpose = RandomPurpose::kTest,
                         .choice = static_cast<std::uint32_t>(j),
                         .position = i}) /
             3;
    };
    const SamplingParams params{.temperature = unit(0) * 100,
                                .top_k = static_cast<int>(unit(1) * 1000),
                                .top_p = 1 - unit(2),
                                .min_p = unit(3) * 1e-9,
                                .repetition_penalty = 0.01 + unit(4),
                                .presence_penalty = unit(5) - 0.2,
                                .frequency_penalty = -unit(6),
                                .logit_bias = {{static_cast<std::int32_t>(i), unit(7) * 1e6}},
                                .seed = i << 40};
    const auto back = SamplingFromJson(SamplingToJson(params));
    ASSERT_TRUE(back.ok()) << back.error().text();
    ASSERT_EQ(back->temperature, params.temperature);
    ASSERT_EQ(back->top_k, params.top_k);
    ASSERT_EQ(back->top_p, params.top_p);
    ASSERT_EQ(back->min_p, params.min_p);
    ASSERT_EQ(back->repetition_penalty, params.repetition_penalty);
    ASSERT_EQ(back->presence_penalty, params.presence_penalty);
    ASSERT_EQ(back->frequency_penalty, params.frequency_penalty);
    ASSERT_EQ(back->logit_bias, params.logit_bias);
    ASSERT_EQ(back->seed, params.seed);
    ASSERT_EQ(SamplingToJson(*back), SamplingToJson(params));
  }
}

TEST(NumberText, FollowsTheRulesOfEcmaScript) {
  EXPECT_EQ(NumberText(0.0), "0");
  EXPECT_EQ(NumberText(-0.0), "0");
  EXPECT_EQ(NumberText(1), "1");
  EXPECT_EQ(NumberText(-1.5), "-1.5");
  EXPECT_EQ(NumberText(100), "100");
  EXPECT_EQ(NumberText(1e20), "100000000000000000000");
  EXPECT_EQ(NumberText(1e21), "1e+21");
  EXPECT_EQ(NumberText(1.5e300), "1.5e+300");
  EXPECT_EQ(NumberText(123456789012345680.0), "123456789012345680");
  EXPECT_EQ(NumberText(0.000001), "0.000001");
  EXPECT_EQ(NumberText(0.0000012), "0.0000012");
  EXPECT_EQ(NumberText(1e-7), "1e-7");
  EXPECT_EQ(NumberText(5e-324), "5e-324");
  EXPECT_EQ(NumberText(0.1), "0.1");
}

TEST(SamplingParams, RefuseEveryFieldOutOfItsRangeByName) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const auto refused = [](const SamplingParams& params, std::string_view name) {
    const auto said = params.Check();
    EXPECT_FALSE(said.ok()) << name;
    if (said.ok()) return;
    EXPECT_NE(said.error().text().find(name), std::string::npos) << said.error().text();
  };
  for (const double bad : {nan, inf, -inf, -1000.0, 1000.0}) {
    refused({.temperature = bad}, "temperature");
    refused({.top_p = bad}, "top_p");
    refused({.min_p = bad}, "min_p");
    refused({.repetition_penalty = bad}, "repetition_penalty");
    refused({.presence_penalty = bad}, "presence_penalty");
    refused({.frequency_penalty = bad}, "frequency_penalty");
  }
  refused({.top_k = -1}, "top_k");
  refused({.top_p = 0}, "top_p");
  refused({.min_p = 1}, "min_p");
  refused({.repetition_penalty = 0}, "repetition_penalty");
  refused({.logit_bias = {{-1, 0}}}, "logit_bias");
  refused({.logit_bias = {{1, nan}}}, "logit_bias");
  refused({.logit_bias = {{1, 0}, {1, 2}}}, "twice");
  EXPECT_TRUE(SamplingParams{}.Check().ok());
}

TEST(SamplingParams, RefuseBrokenJson) {
  for (const char* text :
       {"", "[]", "{", R"({"temperature":"1"})", R"({"temprature":1})", R"({"top_k":1.5})",
        R"({"top_k":4294967296})", R"({"seed":-1})", R"({"seed":1e3})", R"({"logit_bias":{}})",
        R"({"logit_bias":[[1]]})", R"({"logit_bias":[[-1,1]]})", R"({"logit_bias":[[1,"x"]]})",
        R"({"temperature":1e999})", "{\"top_p\":0.5}\x80"}) {
    EXPECT_FALSE(SamplingFromJson(text).ok()) << text;
  }
  EXPECT_FALSE(SamplingFromJson(std::string(100000, '[')).ok());
}

}  // namespace
}  // namespace tatara::generate
