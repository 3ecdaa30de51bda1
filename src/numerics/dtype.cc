#include "tatara/numerics/dtype.h"

#include <array>
#include <bit>

#include "decode.h"
#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

constexpr std::array<DTypeTraits, kDTypeCount> kTraits = {{
    {"F32", 1, 4, false},      {"F16", 1, 2, false},        {"BF16", 1, 2, false},
    {"Q8_0", 32, 34, true},    {"Q4_0", 32, 18, true},      {"Q4_1", 32, 20, true},
    {"Q5_0", 32, 22, true},    {"Q5_1", 32, 24, true},      {"Q4_K", 256, 144, true},
    {"Q5_K", 256, 176, true},  {"Q6_K", 256, 210, true},    {"MXFP4", 32, 17, false},
    {"NVFP4", 64, 36, false},  {"Q8_1", 32, 36, false},     {"Q2_K", 256, 84, false},
    {"Q3_K", 256, 110, false}, {"Q8_K", 256, 292, false},   {"IQ1_S", 256, 50, false},
    {"IQ1_M", 256, 56, false}, {"IQ2_XXS", 256, 66, false}, {"IQ2_XS", 256, 74, false},
    {"IQ2_S", 256, 82, false}, {"IQ3_XXS", 256, 98, false}, {"IQ3_S", 256, 110, false},
    {"IQ4_NL", 32, 18, false}, {"IQ4_XS", 256, 136, false}, {"TQ1_0", 256, 54, false},
    {"TQ2_0", 256, 66, false}, {"F64", 1, 8, false},        {"I8", 1, 1, false},
    {"I16", 1, 2, false},      {"I32", 1, 4, false},        {"I64", 1, 8, false},
    {"F8_E4M3", 1, 1, false},  {"F8_E5M2", 1, 1, false},
}};

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
  DecoderOf(dtype)(blocks.data(), n / traits.block_elements, out.data());
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
