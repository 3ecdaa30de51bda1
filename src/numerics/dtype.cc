#include "tatara/numerics/dtype.h"

#include <array>
#include <bit>

#include "raw_blocks.h"
#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

constexpr std::array<DTypeTraits, kDTypeCount> kTraits = {{
    {"F32", 1, 4, false},
    {"F16", 1, 2, false},
    {"BF16", 1, 2, false},
    {"Q8_0", 32, 34, true},
    {"Q4_0", 32, 18, true},
    {"Q4_1", 32, 20, true},
    {"Q5_0", 32, 22, true},
    {"Q5_1", 32, 24, true},
    {"Q4_K", 256, 144, true},
    {"Q5_K", 256, 176, true},
    {"Q6_K", 256, 210, true},
}};

// Each decoder writes one block; `y` holds the type's block_elements values.

void Decode(const RawQ8_0& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(b.q[i]);
}

void Decode(const RawQ4_0& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>((b.q[i] & 15) - 8);
    y[i + 16] = d * static_cast<float>((b.q[i] >> 4) - 8);
  }
}

void Decode(const RawQ4_1& b, float* y) {
  const float d = F16ToF32(b.d);
  const float m = F16ToF32(b.m);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * static_cast<float>(b.q[i] & 15) + m;
    y[i + 16] = d * static_cast<float>(b.q[i] >> 4) + m;
  }
}

// The unsigned 5-bit values of a block of 32.
template <typename Block>
void FiveBits(const Block& b, int* q) {
  const auto high = LoadLe<std::uint32_t>(b.high);
  for (int i = 0; i < 16; ++i) {
    q[i] = (b.q[i] & 15) | static_cast<int>((high >> i) & 1) << 4;
    q[i + 16] = (b.q[i] >> 4) | static_cast<int>((high >> (i + 16)) & 1) << 4;
  }
}

void Decode(const RawQ5_0& b, float* y) {
  const float d = F16ToF32(b.d);
  int q[32];
  FiveBits(b, q);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(q[i] - 16);
}

void Decode(const RawQ5_1& b, float* y) {
  const float d = F16ToF32(b.d);
  const float m = F16ToF32(b.m);
  int q[32];
  FiveBits(b, q);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(q[i]) + m;
}

struct ScaleAndMin {
  int scale, min;
};
ScaleAndMin SubBlockScale(const std::uint8_t* scales, int j) {
  if (j < 4) return {scales[j] & 63, scales[j + 4] & 63};
  return {(scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4, (scales[j + 4] >> 4) | (scales[j] >> 6)
                                                                                       << 4};
}

// One sub-block of a K type with minima; q(i) is its unsigned value i.
template <typename Block, typename Values>
void DecodeSubBlock(const Block& b, int j, Values q, float* y) {
  const auto [scale, min] = SubBlockScale(b.scales, j);
  const float d = F16ToF32(b.d) * static_cast<float>(scale);
  const float m = F16ToF32(b.dmin) * static_cast<float>(min);
  for (int i = 0; i < 32; ++i) y[32 * j + i] = d * static_cast<float>(q(i)) - m;
}

void Decode(const RawQ4_K& b, float* y) {
  for (int j = 0; j < 8; ++j) {
    const auto q = [&](int i) { return (b.q[j / 2 * 32 + i] >> (j % 2 * 4)) & 15; };
    DecodeSubBlock(b, j, q, y);
  }
}

void Decode(const RawQ5_K& b, float* y) {
  for (int j = 0; j < 8; ++j) {
    const auto q = [&](int i) {
      return ((b.q[j / 2 * 32 + i] >> (j % 2 * 4)) & 15) | ((b.high[i] >> j) & 1) << 4;
    };
    DecodeSubBlock(b, j, q, y);
  }
}

// Value i (0..31) of the j-th 32 values (0..7): half h = j / 4, quarter c = j % 4 of that half. Its
// low nibble is in byte 64 h + 32 (c % 2) + i, low for c < 2; its two high bits at bit 2 c of byte
// 32 h + i.
int SixBits(const RawQ6_K& b, int j, int i) {
  const int h = j / 4;
  const int c = j % 4;
  const int low = (b.low[64 * h + 32 * (c % 2) + i] >> (c / 2 * 4)) & 15;
  return low | ((b.high[32 * h + i] >> (2 * c)) & 3) << 4;
}

void Decode(const RawQ6_K& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int k = 0; k < 256; ++k) {
    const float scale = d * static_cast<float>(b.scales[k / 16]);
    y[k] = scale * static_cast<float>(SixBits(b, k / 32, k % 32) - 32);
  }
}

template <typename Block>
void DecodeAll(ByteSpan blocks, int block_elements, std::span<float> out) {
  for (std::size_t i = 0; i * block_elements < out.size(); ++i) {
    Decode(LoadLe<Block>(blocks.data() + i * sizeof(Block)), out.data() + i * block_elements);
  }
}

}  // namespace

const DTypeTraits& TraitsOf(DType dtype) {
  return kTraits[static_cast<std::size_t>(dtype)];
}

std::int64_t StorageBytes(DType dtype, std::int64_t n_elements) {
  const DTypeTraits& traits = TraitsOf(dtype);
  return n_elements / traits.block_elements * traits.block_bytes;
}

void Dequantize(DType dtype, ByteSpan blocks, std::span<float> out) {
  const DTypeTraits& traits = TraitsOf(dtype);
  const auto n = static_cast<std::int64_t>(out.size());
  TATARA_CHECK(n % traits.block_elements == 0);
  TATARA_CHECK(static_cast<std::int64_t>(blocks.size()) == StorageBytes(dtype, n));
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out.data(), blocks.data(), blocks.size());
      return;
    case DType::kF16:
      for (std::int64_t i = 0; i < n; ++i) {
        out[i] = F16ToF32(LoadLe<std::uint16_t>(blocks.data() + 2 * i));
      }
      return;
    case DType::kBF16:
      for (std::int64_t i = 0; i < n; ++i) {
        out[i] = BF16ToF32(LoadLe<std::uint16_t>(blocks.data() + 2 * i));
      }
      return;
    case DType::kQ8_0:
      return DecodeAll<RawQ8_0>(blocks, traits.block_elements, out);
    case DType::kQ4_0:
      return DecodeAll<RawQ4_0>(blocks, traits.block_elements, out);
    case DType::kQ4_1:
      return DecodeAll<RawQ4_1>(blocks, traits.block_elements, out);
    case DType::kQ5_0:
      return DecodeAll<RawQ5_0>(blocks, traits.block_elements, out);
    case DType::kQ5_1:
      return DecodeAll<RawQ5_1>(blocks, traits.block_elements, out);
    case DType::kQ4_K:
      return DecodeAll<RawQ4_K>(blocks, traits.block_elements, out);
    case DType::kQ5_K:
      return DecodeAll<RawQ5_K>(blocks, traits.block_elements, out);
    case DType::kQ6_K:
      return DecodeAll<RawQ6_K>(blocks, traits.block_elements, out);
  }
}

float F16ToF32(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 31;
  const std::uint32_t mantissa = half & 0x3ff;
  if (exponent == 31) {
    const std::uint32_t quiet = mantissa != 0 ? 0x400000 : 0;
    return std::bit_cast<float>(sign | 0x7f800000 | quiet | mantissa << 13);
  }
  if (exponent == 0) {  // zero or mantissa * 2^-24, exact in f32
    const float value = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

std::uint16_t F32ToF16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return static_cast<std::uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  }
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and above round to infinity
  std::uint32_t shift = 13;                           // mantissa bits that are dropped
  std::uint32_t kept = magnitude - (112U << 23);      // exponent in the half's bias
  if (magnitude < 0x38800000) {                       // below 2^-14: a subnormal half
    if (magnitude < 0x33000000) return sign;          // below 2^-25
    shift = 126 - (magnitude >> 23);
    kept = (magnitude & 0x7fffff) | 0x800000;
  }
  const std::uint32_t rest = kept & ((1U << shift) - 1);
  const std::uint32_t tie = 1U << (shift - 1);
  std::uint32_t half = kept >> shift;
  if (rest > tie || (rest == tie && (half & 1) != 0)) ++half;  // a carry moves on to the exponent
  return static_cast<std::uint16_t>(sign | half);
}

float BF16ToF32(std::uint16_t value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value) << 16;
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  return std::bit_cast<float>(nan ? bits | 0x400000 : bits);
}

std::uint16_t F32ToBF16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace tatara::numerics
