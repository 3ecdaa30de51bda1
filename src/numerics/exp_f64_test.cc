// The vector forms of the f64 exp against the scalar one, bit for bit.
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "kernel_test_support.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics::test {
namespace {

std::vector<double> Inputs() {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  std::vector<double> x = {
      0.0,    -0.0,   1.0,     -1.0,  kInf,    -kInf,
      710.0,  -746.0, 709.8,   709.7, -744.44, -745.2,
      -708.4, 5e-324, -1e-310, 1e300, -1e300,  std::numeric_limits<double>::quiet_NaN()};
  for (const double edge : {710.0, -746.0, 0.34657359027997264}) {
    double up = edge, down = edge;
    for (int i = 0; i < 4; ++i) {
      x.push_back(up = std::bit_cast<double>(std::bit_cast<std::uint64_t>(up) + 1));
      x.push_back(down = std::bit_cast<double>(std::bit_cast<std::uint64_t>(down) - 1));
    }
  }
  for (std::uint64_t i = 0; i < 200'000; ++i) {
    const RandomKey key{.seed = 8, .purpose = RandomPurpose::kTest, .position = i};
    const double scale = i % 3 == 0 ? 1600 : i % 3 == 1 ? 60 : 2;
    x.push_back((RandomUnit(key) - 0.5) * scale);
  }
  for (std::uint64_t i = 0; i < 50'000; ++i) {  // any bits
    const auto words = RandomWords({.seed = 9, .purpose = RandomPurpose::kTest, .position = i});
    x.push_back(std::bit_cast<double>((std::uint64_t{words[0]} << 32) | words[1]));
  }
  return x;
}

TEST(ExpRowF64, EveryInstructionSetEqualsTheScalarFormBitForBit) {
  const std::vector<double> x = Inputs();
  for (const NamedFloatKernels& set : FloatKernelsUnderTest()) {
    // Several lengths, so that every input is seen in full vectors and in ragged ends.
    for (const std::size_t offset : {0, 1, 5}) {
      std::vector<double> y(x.size() - offset);
      set.kernels->exp_f64(x.data() + offset, static_cast<std::int64_t>(y.size()), y.data());
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double want = ExpF64(x[i + offset]);
        if (want != want && y[i] != y[i]) continue;
        ASSERT_EQ(std::bit_cast<std::uint64_t>(want), std::bit_cast<std::uint64_t>(y[i]))
            << set.name << ", exp of " << x[i + offset];
      }
    }
    for (std::size_t n = 0; n < 20; ++n) {
      std::vector<double> y(n + 1, 7.0);
      set.kernels->exp_f64(x.data(), static_cast<std::int64_t>(n), y.data());
      EXPECT_EQ(y[n], 7.0) << set.name << " wrote past " << n;
    }
  }
}

}  // namespace
}  // namespace tatara::numerics::test
