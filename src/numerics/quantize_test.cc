#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant_test_support.h"
#include "tatara/base/fp_environment.h"
#include "tatara/numerics/digest.h"

namespace tatara::numerics {
namespace {

using test::Inputs8;
using test::RandomInputs;

struct Rounded {
  std::vector<std::int8_t> q;
  std::vector<float> d;
};

Rounded Quantised(const std::vector<float>& x, int block) {
  Rounded out{std::vector<std::int8_t>(x.size()), std::vector<float>(x.size() / block)};
  QuantizeRow(x, block, out.q, out.d);
  return out;
}

std::vector<float> Block32(std::initializer_list<float> first) {
  std::vector<float> x(first);
  x.resize(32, 0.0F);
  return x;
}

TEST(QuantizeRow, RoundsTiesToEven) {
  const auto [q, d] = Quantised(Block32({127, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 126.5F, -127}), 32);
  EXPECT_EQ(d[0], 1.0F);
  const std::vector<int> got(q.begin(), q.begin() + 8);
  EXPECT_EQ(got, (std::vector<int>{127, 0, 2, 2, 0, -2, 126, -127}));
}

TEST(QuantizeRow, HasNoScaleWhereTheReciprocalOverflows) {
  const float kSmallest = std::numeric_limits<float>::denorm_min();
  for (const float value : {0.0F, -0.0F, kSmallest, 1e-40F, -3e-37F}) {
    const auto [q, d] = Quantised(Block32({value, value}), 32);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(d[0]), 0U) << value;
    EXPECT_EQ(q, std::vector<std::int8_t>(32, 0)) << value;
  }
  // 127 / 3.8e-37 is still finite.
  const auto [q, d] = Quantised(Block32({3.8e-37F, -1.9e-37F}), 32);
  EXPECT_EQ(q[0], 127);
  EXPECT_EQ(q[1], -64);
  EXPECT_GT(d[0], 0.0F);
}

TEST(QuantizeRow, MarksABlockWithAValueThatIsNotFinite) {
  for (const float value : {std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> x(512, 1.0F);
    x[300] = value;
    const auto [q, d] = Quantised(x, 256);
    EXPECT_FALSE(std::isnan(d[0]));
    EXPECT_TRUE(std::isnan(d[1]));
    EXPECT_EQ(q[0], 127);
    for (int i = 256; i < 512; ++i) ASSERT_EQ(q[i], 0);
  }
}

// Every set's prepared form, taken apart, is what QuantizeRow gives.
TEST(QuantizeRow, IsWhatEverySetPrepares) {
  const ScopedFpEnvironment environment;
  auto sets = test::KernelsUnderTest();
  sets.push_back({"scalar", test::OracleKernels()});
  for (const auto& [name, set] : sets) {
    for (const int block : {32, 256}) {
      for (const int width : {1, 2, 3, 4}) {
        for (const auto kind : {Inputs8::kOrdinary, Inputs8::kWild, Inputs8::kHighest}) {
          const std::int64_t n_k = block * 37;
          const std::int64_t n_blocks = n_k / block;
          const auto x = RandomInputs(n_k * width, kind, 10 + width);
          std::vector<std::int8_t> q(x.size());
          std::vector<float> d(n_blocks * width);
          std::vector<std::int32_t> sums(d.size() * (block == 32 ? kSumWords32 : kSumWords256));
          std::vector<std::int16_t> wide(x.size());
          set.quant->quantise({.x = x.data(),
                               .x_stride = n_k,
                               .n_k = n_k,
                               .width = width,
                               .block = block,
                               .q = q.data(),
                               .d = d.data(),
                               .sums = sums.data(),
                               .wide = set.quant->needs_wide_for_q8_0 ? wide.data() : nullptr});
          for (int t = 0; t < width; ++t) {
            const auto want = Quantised({x.begin() + t * n_k, x.begin() + (t + 1) * n_k}, block);
            for (std::int64_t k = 0; k < n_k; ++k) {
              ASSERT_EQ(q[(k / 4 * width + t) * 4 + k % 4], want.q[k])
                  << name << " block " << block << " width " << width << " k " << k;
            }
            std::vector<float> scales(n_blocks);
            for (std::int64_t b = 0; b < n_blocks; ++b) scales[b] = d[b * width + t];
            ASSERT_EQ(F32Sha256(scales), F32Sha256(want.d)) << name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tatara::numerics
