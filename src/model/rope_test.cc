// Position scaling against the published formulas, evaluated here with the C library.

#include "rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "decoder.h"

namespace tatara::model {
namespace {

using numerics::RopeLayout;

// Table entries are rounded once to f32; the angle itself carries f64 errors of a few ulps.
void ExpectTurns(const RotaryTable& table, std::int64_t position, std::size_t pair,
                 double frequency, double magnitude) {
  const double angle = static_cast<double>(position) * frequency;
  EXPECT_NEAR(table.Cosines(position)[pair], std::cos(angle) * magnitude, 3e-7) << pair;
  EXPECT_NEAR(table.Sines(position)[pair], std::sin(angle) * magnitude, 3e-7) << pair;
}

TEST(RotaryTable, PlainFrequenciesFallGeometrically) {
  RotaryTable table({.n_rot = 64, .base = 100000}, RopeLayout::kPairs, {});
  table.Reserve(700);
  for (const std::int64_t position : {0, 1, 511, 512, 699}) {
    for (std::size_t i = 0; i < 32; ++i) {
      ExpectTurns(table, position, i, std::pow(100000.0, -2.0 * static_cast<double>(i) / 64), 1);
    }
  }
}

TEST(RotaryTable, LinearScalingAndFactorsDivideFrequencies) {
  const std::vector<float> factors = {1, 2, 4, 1e30F};
  RotaryTable table({.n_rot = 8, .base = 10000, .scaling = RopeScaling::kLinear, .factor = 8},
                    RopeLayout::kHalves, factors);
  table.Reserve(100);
  for (std::size_t i = 0; i < 4; ++i) {
    const double frequency =
        std::pow(10000.0, -static_cast<double>(i) / 4) / 8 / double{factors[i]};
    ExpectTurns(table, 99, i, frequency, 1);
  }
}

// Qwen2.5's own setting: factor 4 over 32,768 positions, heads of 128, base 1e6. The correction
// range of arXiv:2309.00071 is 128 ln(32768 / (2 pi beta)) / (2 ln 1e6) = 23.6 (beta 32) and 39.7
// (beta 1), so pairs up to 23 keep their frequency, from 40 on it is divided by 4, between them it
// is mixed.
TEST(RotaryTable, YarnKeepsFastPairsAndStretchesSlowOnes) {
  RotaryTable table({.n_rot = 128,
                     .base = 1e6,
                     .scaling = RopeScaling::kYarn,
                     .factor = 4,
                     .original_context = 32768,
                     .magnitude = 1.25},
                    RopeLayout::kHalves, {});
  table.Reserve(3000);
  const double magnitude = 1.25;
  for (const std::int64_t position : {1, 2999}) {
    for (std::size_t i = 0; i < 64; ++i) {
      const double plain = std::pow(1e6, -static_cast<double>(i) / 64);
      const double way = std::min(1.0, std::max(0.0, (static_cast<double>(i) - 23) / (40 - 23)));
      ExpectTurns(table, position, i, plain / 4 * way + plain * (1 - way), magnitude);
    }
  }
}

// Llama 3.1's own setting: waves longer than 8192 positions are stretched by 8, those shorter than
// 2048 kept, between them the stretch falls with the number of turns in the original context.
TEST(RotaryTable, Llama3StretchesByWavelength) {
  RotaryTable table({.n_rot = 128,
                     .base = 500000,
                     .scaling = RopeScaling::kLlama3,
                     .factor = 8,
                     .original_context = 8192,
                     .low_freq_factor = 1,
                     .high_freq_factor = 4},
                    RopeLayout::kPairs, {});
  table.Reserve(3000);
  int n_kept = 0, n_stretched = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    const double plain = std::pow(500000.0, -static_cast<double>(i) / 64);
    const double wavelength = 2 * 3.14159265358979323846 / plain;
    double want = plain;
    if (wavelength > 8192) {
      want = plain / 8;
      ++n_stretched;
    } else if (wavelength < 8192.0 / 4) {
      ++n_kept;
    } else {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      want = (1 - smooth) * plain / 8 + smooth * plain;
    }
    ExpectTurns(table, 2999, i, want, 1);
  }
  EXPECT_GT(n_kept, 20);
  EXPECT_GT(n_stretched, 20);
  EXPECT_LT(n_kept + n_stretched, 64);
}

RopeConfig ReadRope(const std::map<std::string, Metadata::Value>& values) {
  Metadata metadata("memory.gguf");
  for (const auto& [key, value] : values) metadata.Set("llama." + key, value);
  Keys keys(metadata, "llama");
  auto rope =
      ReadRopeConfig(keys, 64, {.linear = true, .yarn = true, .llama3 = true, .longrope = true});
  EXPECT_TRUE(rope.ok()) << rope.error().text();
  return rope.ok() ? *rope : RopeConfig{};
}

// Every published way of weighing YaRN's cosines and sines, factor 4.
TEST(RopeKeys, TheWeightOfYarnIsTheOneItsAuthorsChose) {
  const std::map<std::string, Metadata::Value> yarn = {
      {"rope.scaling.type", std::string("yarn")},
      {"rope.scaling.factor", 4.0},
      {"rope.scaling.original_context_length", std::uint64_t{32768}}};
  const auto magnitude = [&](const char* key, double value) {
    auto values = yarn;
    values[std::string("rope.scaling.") + key] = value;
    return ReadRope(values).magnitude;
  };
  const double usual = 1 + 0.1 * std::log(4.0);
  EXPECT_NEAR(ReadRope(yarn).magnitude, usual, 1e-12);
  EXPECT_NEAR(magnitude("attn_factor", 0.5), 0.5 * usual, 1e-12);
  EXPECT_NEAR(magnitude("yarn_attn_factor", 1.0), 1.0, 1e-12);
  EXPECT_NEAR(magnitude("yarn_log_multiplier", 1.0), 1.0, 1e-12);
  EXPECT_NEAR(magnitude("yarn_log_multiplier", 0.5), usual / (1 + 0.05 * std::log(4.0)), 1e-12);
}

TEST(RopeKeys, AnAlphaEnlargesTheBase) {
  const RopeConfig rope = ReadRope({{"rope.freq_base", 10000.0}, {"rope.scaling.alpha", 1000.0}});
  EXPECT_NEAR(rope.base, 10000 * std::pow(1000.0, 64.0 / 62), 1e-6);
}

TEST(RopeKeys, OldAndNewNamesOfLinearScalingMeanTheSame) {
  EXPECT_EQ(ReadRope({{"rope.scale_linear", 4.0}}).factor, 4);
  EXPECT_EQ(ReadRope({{"rope.scaling.factor", 4.0}}).scaling, RopeScaling::kLinear);
  EXPECT_EQ(
      ReadRope({{"rope.scaling.type", std::string("none")}, {"rope.scaling.factor", 4.0}}).scaling,
      RopeScaling::kNone);
  EXPECT_EQ(ReadRope({{"rope.scaling.attn_factor", 1.19}}).magnitude, 1.19);  // longrope
}

TEST(RotaryTable, GrowingKeepsWhatWasThere) {
  RotaryTable table({.n_rot = 4}, RopeLayout::kHalves, {});
  table.Reserve(10);
  const float before = table.Cosines(9)[1];
  table.Reserve(5000);
  EXPECT_EQ(table.Cosines(9)[1], before);
  EXPECT_EQ(table.Cosines(0)[0], 1.0F);
  EXPECT_EQ(table.Sines(0)[0], 0.0F);
}

}  // namespace
}  // namespace tatara::model
