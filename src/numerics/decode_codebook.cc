// Decoders of types whose codes stand for levels or points of a fixed table, and of base 3.
#include <bit>
#include <cstring>

#include "codebooks.h"
#include "decode_blocks.h"

namespace tatara::numerics {
namespace {

// 32 values (or 2 kHalf) from nibbles: value i low, value i + kHalf high.
template <int kHalf>
void PutLevels(const std::uint8_t* q, const std::int8_t (&levels)[16], float d, float* y) {
  for (int i = 0; i < kHalf; ++i) {
    y[i] = d * static_cast<float>(levels[q[i] & 15]);
    y[i + kHalf] = d * static_cast<float>(levels[q[i] >> 4]);
  }
}

void Decode(const RawMXFP4& b, float* y) {
  // 2^(e - 128): half of what e8m0 says, as the levels are doubled; subnormal for e of 0 and 1.
  const std::uint32_t bits = b.e < 2 ? 0x00200000U << b.e : (b.e - 1U) << 23;
  PutLevels<16>(b.q, kLevelsE2M1, std::bit_cast<float>(bits), y);
}

// Unsigned e4m3, halved; bit 7 does not count, and 0x7f alone stands for 0.
float HalfOfUnsignedE4M3(std::uint8_t bits) {
  if (bits == 0x7f) return 0;
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  const std::uint32_t power = static_cast<std::uint32_t>(exponent == 0 ? 1 : exponent) + 116;
  return static_cast<float>(exponent == 0 ? mantissa : mantissa + 8) *
         std::bit_cast<float>(power << 23);
}

void Decode(const RawNVFP4& b, float* y) {
  for (int j = 0; j < 4; ++j) {
    PutLevels<8>(b.q + 8 * j, kLevelsE2M1, HalfOfUnsignedE4M3(b.d[j]), y + 16 * j);
  }
}

void Decode(const RawIQ4_NL& b, float* y) {
  PutLevels<16>(b.q, kLevelsIq4, F16ToF32(b.d), y);
}

void Decode(const RawIQ4_XS& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int j = 0; j < 8; ++j) {
    const int low = b.scales_low[j / 2] >> (j % 2 * 4) & 15;
    const int high = b.scales_high >> (2 * j) & 3;
    PutLevels<16>(b.q + 16 * j, kLevelsIq4, d * static_cast<float>((low | high << 4) - 32),
                  y + 32 * j);
  }
}

// Digit p of a byte that holds base-3 digits as a fraction of 256.
int Ternary(std::uint8_t byte, int p) {
  constexpr std::uint8_t kPower[5] = {1, 3, 9, 27, 81};
  const auto shifted = static_cast<std::uint8_t>(byte * kPower[p]);
  return (shifted * 3 >> 8) - 1;
}

void Decode(const RawTQ1_0& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int k = 0; k < 160; ++k) y[k] = d * static_cast<float>(Ternary(b.q[k % 32], k / 32));
  for (int k = 0; k < 80; ++k) {
    y[160 + k] = d * static_cast<float>(Ternary(b.q[32 + k % 16], k / 16));
  }
  for (int k = 0; k < 16; ++k) y[240 + k] = d * static_cast<float>(Ternary(b.rest[k % 4], k / 4));
}

// Points times a scale; bit i of `signs` turns value i around.
template <std::size_t kValues>
void PutPoint(const std::array<std::int8_t, kValues>& point, float scale, unsigned signs,
              float* y) {
  for (std::size_t i = 0; i < kValues; ++i) {
    const float value = scale * static_cast<float>(point[i]);
    y[i] = (signs >> i & 1) != 0 ? -value : value;
  }
}

// Seven stored signs; the eighth makes their number even.
unsigned EightSigns(unsigned seven) {
  return seven | static_cast<unsigned>(std::popcount(seven) & 1) << 7;
}

float HalfOddScale(float d, unsigned scale) {
  return d * (0.5F + static_cast<float>(scale));
}

void Decode(const RawIQ2_XXS& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int j = 0; j < 8; ++j) {
    const auto word = LoadLe<std::uint32_t>(b.q + 8 * j + 4);
    const float scale = HalfOddScale(d, word >> 28) * 0.25F;
    for (int e = 0; e < 4; ++e) {
      PutPoint(kPointsIq2Xxs[b.q[8 * j + e]], scale, EightSigns(word >> (7 * e) & 127),
               y + 32 * j + 8 * e);
    }
  }
}

// Scale of 16 values: a nibble.
float NibbleScale(float d, const std::uint8_t* scales, int j) {
  return HalfOddScale(d, scales[j / 2] >> (j % 2 * 4) & 15U) * 0.25F;
}

void Decode(const RawIQ2_XS& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int e = 0; e < 32; ++e) {
    PutPoint(kPointsIq2Xs[b.q[e] & 511], NibbleScale(d, b.scales, e / 2), EightSigns(b.q[e] >> 9),
             y + 8 * e);
  }
}

void Decode(const RawIQ2_S& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int e = 0; e < 32; ++e) {
    const int index = b.q[e] | (b.high[e / 4] >> (e % 4 * 2) & 3) << 8;
    PutPoint(kPointsIq2S[static_cast<std::size_t>(index)], NibbleScale(d, b.scales, e / 2),
             b.signs[e], y + 8 * e);
  }
}

void Decode(const RawIQ3_XXS& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int j = 0; j < 8; ++j) {
    const auto word = LoadLe<std::uint32_t>(b.signs + 4 * j);
    const float scale = HalfOddScale(d, word >> 28) * 0.5F;
    for (int e = 0; e < 8; ++e) {
      const unsigned signs = EightSigns(word >> (e / 2 * 7) & 127) >> (e % 2 * 4);
      PutPoint(kPointsIq3Xxs[b.q[8 * j + e]], scale, signs, y + 32 * j + 4 * e);
    }
  }
}

void Decode(const RawIQ3_S& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int e = 0; e < 64; ++e) {
    const int scale = b.scales[e / 16] >> (e / 8 % 2 * 4) & 15;
    const int index = b.q[e] | (b.high[e / 8] >> (e % 8) & 1) << 8;
    PutPoint(kPointsIq3S[static_cast<std::size_t>(index)], d * static_cast<float>(1 + 2 * scale),
             static_cast<unsigned>(b.signs[e / 2] >> (e % 2 * 4)), y + 4 * e);
  }
}

// Points of -1, 0 and 1, all moved up or down by an eighth.
void PutShifted(int index, bool down, float scale, float* y) {
  const float shift = down ? -0.125F : 0.125F;
  for (int i = 0; i < 8; ++i) {
    y[i] = scale * (static_cast<float>(
                        kPointsIq1[static_cast<std::size_t>(index)][static_cast<std::size_t>(i)]) +
                    shift);
  }
}

void Decode(const RawIQ1_S& b, float* y) {
  const float d = F16ToF32(b.d);
  for (int e = 0; e < 32; ++e) {
    const unsigned high = b.high[e / 4];
    const int index = b.q[e] | static_cast<int>(high >> (e % 4 * 3) & 7) << 8;
    PutShifted(index, (high & 0x8000) != 0, d * static_cast<float>(2 * (high >> 12 & 7) + 1),
               y + 8 * e);
  }
}

void Decode(const RawIQ1_M& b, float* y) {
  unsigned half = 0;
  for (int i = 0; i < 4; ++i) half |= static_cast<unsigned>(b.scales[i] >> 12) << (4 * i);
  const float d = F16ToF32(static_cast<std::uint16_t>(half));
  for (int e = 0; e < 32; ++e) {
    const int j = e / 2;
    const int high = b.high[e / 2] >> (e % 2 * 4);
    const int scale = b.scales[j / 4] >> (j % 4 * 3) & 7;
    PutShifted(b.q[e] | (high & 7) << 8, (high & 8) != 0, d * static_cast<float>(2 * scale + 1),
               y + 8 * e);
  }
}

}  // namespace

DecodeFn DecoderOfCodebooks(DType dtype) {
  switch (dtype) {
    case DType::kMXFP4:
      return DecodeBlocks<RawMXFP4, Decode, 32>;
    case DType::kNVFP4:
      return DecodeBlocks<RawNVFP4, Decode, 64>;
    case DType::kIQ4_NL:
      return DecodeBlocks<RawIQ4_NL, Decode, 32>;
    case DType::kIQ4_XS:
      return DecodeBlocks<RawIQ4_XS, Decode, 256>;
    case DType::kTQ1_0:
      return DecodeBlocks<RawTQ1_0, Decode, 256>;
    case DType::kIQ2_XXS:
      return DecodeBlocks<RawIQ2_XXS, Decode, 256>;
    case DType::kIQ2_XS:
      return DecodeBlocks<RawIQ2_XS, Decode, 256>;
    case DType::kIQ2_S:
      return DecodeBlocks<RawIQ2_S, Decode, 256>;
    case DType::kIQ3_XXS:
      return DecodeBlocks<RawIQ3_XXS, Decode, 256>;
    case DType::kIQ3_S:
      return DecodeBlocks<RawIQ3_S, Decode, 256>;
    case DType::kIQ1_S:
      return DecodeBlocks<RawIQ1_S, Decode, 256>;
    case DType::kIQ1_M:
      return DecodeBlocks<RawIQ1_M, Decode, 256>;
    default:
      return nullptr;
  }
}

}  // namespace tatara::numerics
