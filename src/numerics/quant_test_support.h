// What the tests of quantised products share: weights and activations of several kinds, the sets of
// kernels to run.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "packed_layout.h"
#include "quant_dispatch.h"
#include "tatara/base/check.h"
#include "tatara/numerics/dtype.h"
#include "tatara/numerics/matrix.h"

namespace tatara::numerics {

extern const QuantKernels kQuantKernelsSimde;

namespace test {

// SplitMix64 (Steele, Lea, Flood, OOPSLA'14): cheap numbers for bulk test data.
class TestRandom {
 public:
  explicit TestRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  float Unit() { return static_cast<float>(Next() >> 40) * 0x1p-24F; }  // [0, 1)

 private:
  std::uint64_t state_;
};

enum class Weights {
  kOrdinary,  // random quants, finite scales
  kWild,      // random bytes: scales of all kinds, infinities and NaN among them
  kLowest,    // every byte of quants 0x00, or 0x80 where signed
  kHighest,   // 0xff, or 0x7f where signed
};

// Offsets of the f16 scales in a raw block.
inline std::vector<int> ScaleOffsets(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ5_0:
      return {0};
    case DType::kQ6_K:
      return {208};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return {};
    default:
      return {0, 2};
  }
}

inline std::vector<std::byte> RandomWeights(DType dtype, std::int64_t n_rows, std::int64_t n_cols,
                                            Weights kind, std::uint64_t seed) {
  const DTypeTraits& traits = TraitsOf(dtype);
  TestRandom random(seed);
  std::vector<std::byte> raw(n_rows * StorageBytes(dtype, n_cols));
  const std::size_t block_bytes = traits.block_bytes;
  for (std::size_t at = 0; at < raw.size(); at += block_bytes) {
    std::byte* block = raw.data() + at;
    for (std::size_t i = 0; i < block_bytes; ++i) block[i] = static_cast<std::byte>(random.Next());
    if (!traits.quantised) {
      if (kind == Weights::kWild) continue;
      if (static_cast<int>(dtype) >= kRelaidTypes) {
        std::vector<float> values(static_cast<std::size_t>(traits.block_elements));
        Dequantize(dtype, {block, block_bytes}, values);
        const auto is_tame = [](float v) { return std::fabs(v) < 1e20F; };
        for (int tries = 0; !std::all_of(values.begin(), values.end(), is_tame); ++tries) {
          TATARA_CHECK(tries < 10'000);
          for (std::size_t i = 0; i < block_bytes; ++i) {
            block[i] = static_cast<std::byte>(random.Next());
          }
          if (dtype == DType::kQ8_K) std::memset(block, 0x3c, 4);
          Dequantize(dtype, {block, block_bytes}, values);
        }
        continue;
      }
      const float value = random.Unit() * 2 - 1;
      const std::uint16_t narrow = dtype == DType::kF16 ? F32ToF16(value) : F32ToBF16(value);
      if (dtype == DType::kF32) std::memcpy(block, &value, 4);
      if (dtype != DType::kF32) std::memcpy(block, &narrow, 2);
      continue;
    }
    if (kind == Weights::kLowest || kind == Weights::kHighest) {
      const bool low = kind == Weights::kLowest;
      std::memset(block, dtype == DType::kQ8_0 ? (low ? 0x80 : 0x7f) : (low ? 0 : 0xff),
                  block_bytes);
      if (dtype == DType::kQ6_K) std::memset(block + 192, low ? 0x80 : 0x7f, 16);
      if (dtype == DType::kQ4_K || dtype == DType::kQ5_K) std::memset(block + 4, 0xff, 12);
    }
    if (kind == Weights::kWild) continue;
    for (const int offset : ScaleOffsets(dtype)) {
      const std::uint16_t half = F32ToF16((random.Unit() * 2 - 1) * 0.05F);
      std::memcpy(block + offset, &half, 2);
    }
  }
  return raw;
}

enum class Inputs8 {
  kOrdinary,  // in (-4, 4), a few large
  kWild,      // blocks of special values mixed in: infinities, NaN, subnormals, zeros, extremes
  kHighest,   // all of one size, so that every rounded value is 127 or -127
};

inline std::vector<float> RandomInputs(std::int64_t n, Inputs8 kind, std::uint64_t seed) {
  TestRandom random(seed);
  std::vector<float> x(n);
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = random.Unit() * 8 - 4;
    if (random.Next() % 64 == 0) x[i] *= 20;
    if (kind == Inputs8::kHighest) x[i] = random.Next() % 16 == 0 ? -3.0F : 3.0F;
  }
  if (kind != Inputs8::kWild) return x;
  for (std::int64_t start = 0; start < n; start += 32) {
    const std::uint64_t what = random.Next() % 8;
    const std::uint64_t not_finite =
        random.Next() % 256;  // rare, as one of them takes a whole output
    const std::int64_t end = std::min(n, start + 32);
    const std::int64_t at = start + static_cast<std::int64_t>(random.Next() % (end - start));
    if (not_finite == 0) x[at] = std::bit_cast<float>(0x7f800000U);
    if (not_finite == 1) x[at] = std::bit_cast<float>(0xff800000U);
    if (not_finite == 2) x[at] = std::bit_cast<float>(0x7fc00000U);
    if (not_finite == 3) x[at] = 3.4e38F;
    for (std::int64_t i = start; i < end; ++i) {
      if (what == 0) x[i] = i % 2 == 0 ? 0.0F : -0.0F;
      if (what == 1) x[i] *= 1e-40F;  // subnormal; the reciprocal overflows
      if (what == 2) x[i] *= 1e-37F;  // about where it begins to
      if (what == 3) x[i] = static_cast<float>(static_cast<int>(random.Next() % 255) - 127) / 2;
    }
  }
  return x;
}

struct NamedKernels {
  std::string name;
  KernelSet set;
};

inline KernelSet OracleKernels() {
  return {.quant = &QuantKernelsOf(Isa::kScalar), .floats = &FloatKernelsOf(Isa::kScalar)};
}

// Every set that this machine has besides the oracle; a set without code of its own fails. Where
// AVX2 is there, the AVX-512 sources through SIMDe too.
inline std::vector<NamedKernels> KernelsUnderTest() {
  std::vector<NamedKernels> list;
  for (const Isa isa : AvailableIsas()) {
    if (isa == Isa::kScalar) continue;
    list.push_back({std::string(IsaName(isa)),
                    {.quant = &QuantKernelsOf(isa), .floats = &FloatKernelsOf(isa)}});
    EXPECT_NE(list.back().set.quant, OracleKernels().quant) << list.back().name;
  }
  if (!list.empty()) {
    list.push_back({"avx512 through SIMDe",
                    {.quant = &kQuantKernelsSimde, .floats = &FloatKernelsOf(Isa::kAvx2)}});
  }
  return list;
}

inline const std::vector<DType>& QuantisedTypes() {
  static const std::vector<DType> kTypes = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                            DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
  return kTypes;
}

}  // namespace test
}  // namespace tatara::numerics
