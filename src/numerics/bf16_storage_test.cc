// bf16 as storage: every instruction set against the oracle, the oracle against neighbours found in
// f64, and that moments rounded by drawing go where those in f32 go.
#include "tatara/numerics/bf16_storage.h"

#include <algorithm>
#include <cmath>

#include "kernel_test_support.h"
#include "tatara/numerics/dtype.h"
#include "training_dispatch.h"

namespace tatara::numerics {

extern const TrainingKernels kTrainingKernelsSimde;

namespace {

using test::Inputs;
using test::TestValues;

std::vector<std::pair<std::string, const TrainingKernels*>> AllKernels() {
  std::vector<std::pair<std::string, const TrainingKernels*>> list;
  for (const Isa isa : AvailableIsas()) list.emplace_back(IsaName(isa), &TrainingKernelsOf(isa));
  if (list.size() > 1) list.emplace_back("avx512 through SIMDe", &kTrainingKernelsSimde);
  return list;
}

float OfBits(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}

// Of the two neighbours in bf16 (what lies above the largest counts as 2^128), the nearer, on a tie
// the one whose last bit is 0. For finite x.
std::uint16_t NearestByDistance(float x) {
  const auto below = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);
  const auto above = static_cast<std::uint16_t>(below + 1);
  const auto value = [](std::uint16_t half) {
    if ((half & 0x7fff) == 0x7f80) return (half & 0x8000) != 0 ? -0x1p128 : 0x1p128;
    return static_cast<double>(OfBits(static_cast<std::uint32_t>(half) << 16));
  };
  const double to_below = std::fabs(static_cast<double>(x) - value(below));
  const double to_above = std::fabs(value(above) - static_cast<double>(x));
  if (to_below == to_above) return (below & 1) == 0 ? below : above;
  return to_below < to_above ? below : above;
}

TEST(BF16Storage, RoundsToTheNearestOnEverySet) {
  std::vector<float> values = {0.0F,
                               -0.0F,
                               INFINITY,
                               -INFINITY,
                               OfBits(1),
                               OfBits(0x8000),
                               OfBits(0x8001),
                               OfBits(0x18000),
                               OfBits(0x7fff7fff),
                               OfBits(0x7f7f8000),
                               OfBits(0x7f7f7fff),
                               OfBits(0xff7fffff),
                               OfBits(0x3f808000),
                               OfBits(0x3f818000),
                               OfBits(0x3f808001),
                               OfBits(0x007f8000),
                               OfBits(0x80008000)};
  values[8] = OfBits(0x7f7fffff);
  const auto wild = TestValues(4099, 1, Inputs::kWild);
  values.insert(values.end(), wild.begin(), wild.end());
  for (const auto& [name, kernels] : AllKernels()) {
    std::vector<float> rounded = values, loaded(values.size());
    std::vector<std::uint16_t> stored(values.size());
    const auto n = static_cast<std::int64_t>(values.size());
    kernels->round_bf16(rounded.data(), n, stored.data());
    kernels->load_bf16(stored.data(), n, loaded.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        EXPECT_TRUE(std::isnan(rounded[i]) && std::isnan(loaded[i])) << name;
        EXPECT_NE(stored[i] & 0x40, 0) << name << ": a NaN is quiet";
        continue;
      }
      const std::uint16_t want =
          std::isinf(values[i]) ? (values[i] > 0 ? 0x7f80 : 0xff80) : NearestByDistance(values[i]);
      ASSERT_EQ(stored[i], want) << name << " of " << values[i];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(rounded[i]), std::uint32_t{want} << 16) << name;
      ASSERT_EQ(std::bit_cast<std::uint32_t>(loaded[i]), std::uint32_t{want} << 16) << name;
    }
  }
}

TEST(BF16Storage, EverySetHasTheOraclesBitsOnRaggedRows) {
  const auto values = TestValues(200, 3, Inputs::kWild);
  std::vector<std::uint32_t> words(256);
  const DrawnGroups from{
      .key = {5, 9}, .purpose = 7, .choice = 11, .first_group = (1ULL << 36) - 2};
  kTrainingKernelsScalar.draw_groups(from, 4, words.data());
  for (const auto& [name, kernels] : AllKernels()) {
    std::vector<std::uint32_t> drawn(256);
    kernels->draw_groups(from, 4, drawn.data());
    EXPECT_EQ(drawn, words) << name;
    for (std::int64_t n = 0; n <= 70; ++n) {
      for (const bool upper : {false, true}) {
        std::vector<std::uint16_t> want(80, 0xabcd), got = want, nearest = want;
        kTrainingKernelsScalar.store_drawn_bf16(values.data() + n, words.data() + n, upper, n,
                                                want.data());
        kernels->store_drawn_bf16(values.data() + n, words.data() + n, upper, n, got.data());
        ASSERT_EQ(want, got) << name << " n " << n;
        std::vector<float> x(values.begin() + n, values.begin() + n + 80), y = x;
        kTrainingKernelsScalar.round_bf16(x.data(), n, nullptr);
        kernels->round_bf16(y.data(), n, nearest.data());
        ASSERT_EQ(test::FirstDifference(x, y), "") << name << " n " << n;
        ASSERT_TRUE(std::all_of(nearest.begin() + n, nearest.end(),
                                [](std::uint16_t half) { return half == 0xabcd; }));
      }
    }
  }
}

TEST(BF16Storage, DrawnRoundingDependsOnThePlaceAloneAndKeepsTheMean) {
  const DrawnRounding rounding{.seed = 3, .step = 17, .first_place = 1000};
  const std::vector<float> x(20000, 1.0F + 0.25F / 128);  // a quarter of the way up
  std::vector<std::uint16_t> whole(x.size()), parts(x.size()), second(x.size());
  StoreBF16(rounding, DrawnHalf::kFirst, x, whole);
  StoreBF16(rounding, DrawnHalf::kSecond, x, second);
  EXPECT_NE(whole, second);
  for (const auto& [first, end] : {std::pair{0, 3}, {3, 70}, {70, 1111}, {1111, 20000}}) {
    const auto from = static_cast<std::size_t>(first), n = static_cast<std::size_t>(end - first);
    StoreBF16({.seed = 3, .step = 17, .first_place = 1000 + from}, DrawnHalf::kFirst,
              std::span(x).subspan(from, n), std::span(parts).subspan(from, n));
  }
  EXPECT_EQ(whole, parts);
  for (const auto& halves : {whole, second}) {
    const auto n_up = std::ranges::count(halves, 0x3f81);
    EXPECT_EQ(n_up + std::ranges::count(halves, 0x3f80), 20000);
    EXPECT_NEAR(static_cast<double>(n_up) / 20000, 0.25, 0.012);  // four deviations
  }
  std::vector<std::uint16_t> other(x.size());
  StoreBF16({.seed = 3, .step = 18, .first_place = 1000}, DrawnHalf::kFirst, x, other);
  EXPECT_NE(whole, other);
}

TEST(BF16Storage, WhatBF16HoldsIsStoredAsItIs) {
  for (const float x : {0.0F, -0.0F, 1.0F, -3.0F, INFINITY, -INFINITY, OfBits(0x00010000)}) {
    const std::vector<float> values(64, x);
    std::vector<std::uint16_t> stored(64);
    StoreBF16({.seed = 1, .step = 1}, DrawnHalf::kFirst, values, stored);
    for (const std::uint16_t half : stored) EXPECT_EQ(half, F32ToBF16(x));
  }
}

// Under a constant gradient of 1 after a long one of 2 the second moment goes from 4 to 1 by a
// thousandth a step, which rounding to the nearest bf16 would never leave.
TEST(BF16Storage, MomentsDoNotStandStill) {
  constexpr std::size_t n = 4096;
  const AdamWStep step{.step = 5, .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999};
  const std::vector<float> gradient(n, 1.0F);
  std::vector<float> weight(n), wide_weight(n), wide_first(n, 2.0F), wide_second(n, 4.0F);
  std::vector<std::uint16_t> first(n, F32ToBF16(2.0F)), second(n, F32ToBF16(4.0F));
  for (std::uint32_t i = 0; i < 1000; ++i) {
    AdamW(step, gradient, wide_weight, wide_first, wide_second);
    AdamW(step, {.seed = 1, .step = i}, gradient, weight, first, second);
  }
  double mean_first = 0, mean_second = 0, squares = 0, mean_weight = 0;
  for (std::size_t i = 0; i < n; ++i) {
    mean_first += BF16ToF32(first[i]) / double{n};
    mean_second += BF16ToF32(second[i]) / double{n};
    squares += std::pow(BF16ToF32(second[i]) - wide_second[i], 2) / double{n};
    mean_weight += weight[i] / double{n};
  }
  EXPECT_NEAR(mean_first, wide_first[0], 1e-3);
  EXPECT_NEAR(mean_second, wide_second[0], 0.01);
  EXPECT_LT(std::sqrt(squares) / wide_second[0], 0.12);
  EXPECT_NEAR(mean_weight, wide_weight[0], 0.01 * std::fabs(wide_weight[0]));
}

TEST(BF16Storage, AdamWTakesItsStepFromMomentsThatAreNotRounded) {
  const auto gradient = TestValues(700, 1), start = TestValues(700, 2);
  std::vector<std::uint16_t> first(700), second(700);
  std::vector<float> weight = start, wide = start, m(700), v(700);
  const AdamWStep step{.step = 1, .learning_rate = 1e-2};
  AdamW(step, gradient, wide, m, v);
  AdamW(step, {.seed = 4, .step = 0, .first_place = 64}, gradient, weight, first, second);
  EXPECT_EQ(test::FirstDifference(wide, weight), "");
  std::vector<std::uint16_t> want(700);
  StoreBF16({.seed = 4, .step = 0, .first_place = 64}, DrawnHalf::kFirst, m, want);
  EXPECT_EQ(first, want);
  StoreBF16({.seed = 4, .step = 0, .first_place = 64}, DrawnHalf::kSecond, v, want);
  EXPECT_EQ(second, want);
}

}  // namespace
}  // namespace tatara::numerics
