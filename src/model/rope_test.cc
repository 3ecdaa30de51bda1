// Position scaling against the published formulas, evaluated here with the C library.

#include "rope.h"

#include <gtest/gtest.h>

#include <cmath>

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
                     .original_context = 32768},
                    RopeLayout::kHalves, {});
  table.Reserve(3000);
  const double magnitude = 1 + 0.1 * std::log(4.0);
  for (const std::int64_t position : {1, 2999}) {
    for (std::size_t i = 0; i < 64; ++i) {
      const double plain = std::pow(1e6, -static_cast<double>(i) / 64);
      const double way = std::min(1.0, std::max(0.0, (static_cast<double>(i) - 23) / (40 - 23)));
      ExpectTurns(table, position, i, plain / 4 * way + plain * (1 - way), magnitude);
    }
  }
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
