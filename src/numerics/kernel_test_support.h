// What the kernel tests share: every instruction set to run, inputs with all kinds of values, and
// the contract's comparison (bit for bit, NaN equals NaN).
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "float_dispatch.h"
#include "tatara/base/philox.h"
#include "test_support.h"

namespace tatara::numerics {

extern const FloatKernels kFloatKernelsSimde;

namespace test {

using ::tatara::test::RunAll;

struct NamedFloatKernels {
  std::string name;
  const FloatKernels* kernels;
};

// Every set of this machine but the oracle, and the AVX-512 sources through SIMDe where AVX2 is
// there. A set that AvailableIsas() names is in the list, so a test over it has exercised all of
// them.
inline std::vector<NamedFloatKernels> FloatKernelsUnderTest() {
  std::vector<NamedFloatKernels> list;
  for (const Isa isa : AvailableIsas()) {
    if (isa == Isa::kScalar) continue;
    list.push_back({std::string(IsaName(isa)), &FloatKernelsOf(isa)});
    EXPECT_NE(list.back().kernels, &kFloatKernelsScalar)
        << IsaName(isa) << " runs the oracle's code";
  }
  if (!list.empty()) list.push_back({"avx512 through SIMDe", &kFloatKernelsSimde});
  return list;
}

inline std::uint32_t CanonicalBits(float x) {
  return x != x ? 0x7fc00000u : std::bit_cast<std::uint32_t>(x);
}

// Where the first difference is; empty where there is none.
inline std::string FirstDifference(std::span<const float> want, std::span<const float> got) {
  if (want.size() != got.size()) return "sizes differ";
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (CanonicalBits(want[i]) != CanonicalBits(got[i])) {
      return "index " + std::to_string(i) + ": oracle " + std::to_string(want[i]) + ", got " +
             std::to_string(got[i]);
    }
  }
  return {};
}

enum class Inputs { kOrdinary, kWild };

// Deterministic test values: ordinary ones in (-4, 4), or any bit patterns mixed with the special
// values (zeros of both signs, subnormals, infinities, NaN, extremes).
inline std::vector<float> TestValues(std::size_t n, std::uint64_t seed,
                                     Inputs inputs = Inputs::kOrdinary) {
  static constexpr std::array<std::uint32_t, 12> kSpecial = {
      0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x7f800000, 0xff800000,
      0x7fc00000, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000, 0x00800000};
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto words = RandomWords({.seed = seed, .purpose = RandomPurpose::kTest, .position = i});
    const float unit = static_cast<float>(words[0] >> 8) * 0x1p-24F;
    values[i] = unit * 8.0F - 4.0F;
    if (inputs == Inputs::kWild && words[1] % 8 == 0) {
      values[i] =
          std::bit_cast<float>(words[2] % 2 == 0 ? kSpecial[words[3] % kSpecial.size()] : words[3]);
    }
  }
  return values;
}

}  // namespace test
}  // namespace tatara::numerics
