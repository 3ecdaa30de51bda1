// Decoders of types that store each value by itself.
#include <bit>
#include <cmath>
#include <limits>

#include "decode.h"
#include "tatara/base/bytes.h"
#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

template <typename Stored, float (*kWiden)(Stored)>
void DecodeValues(const std::byte* from, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = kWiden(LoadLe<Stored>(from + i * static_cast<std::int64_t>(sizeof(Stored))));
  }
}

template <typename Stored>
float Cast(Stored value) {
  return static_cast<float>(value);
}

// OCP 8-bit Floating Point Specification (OFP8) 1.0: e4m3 has bias 7, no infinities and one NaN.
float WidenE4M3(std::uint8_t bits) {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  if ((bits & 127) == 127) return std::numeric_limits<float>::quiet_NaN();
  const std::uint32_t power = static_cast<std::uint32_t>(exponent == 0 ? 1 : exponent) + 117;
  const float size = static_cast<float>(exponent == 0 ? mantissa : mantissa + 8) *
                     std::bit_cast<float>(power << 23);  // 2^(exponent - 7 - 3)
  return bits >= 128 ? -size : size;
}

// e5m2 is the upper half of an f16.
float WidenE5M2(std::uint8_t bits) {
  return F16ToF32(static_cast<std::uint16_t>(bits << 8));
}

}  // namespace

DecodeFn DecoderOfPlainValues(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return DecodeValues<float, Cast<float>>;
    case DType::kF16:
      return DecodeValues<std::uint16_t, F16ToF32>;
    case DType::kBF16:
      return DecodeValues<std::uint16_t, BF16ToF32>;
    case DType::kF64:
      return DecodeValues<double, Cast<double>>;
    case DType::kI8:
      return DecodeValues<std::int8_t, Cast<std::int8_t>>;
    case DType::kI16:
      return DecodeValues<std::int16_t, Cast<std::int16_t>>;
    case DType::kI32:
      return DecodeValues<std::int32_t, Cast<std::int32_t>>;
    case DType::kI64:
      return DecodeValues<std::int64_t, Cast<std::int64_t>>;
    case DType::kF8_E4M3:
      return DecodeValues<std::uint8_t, WidenE4M3>;
    case DType::kF8_E5M2:
      return DecodeValues<std::uint8_t, WidenE5M2>;
    default:
      return nullptr;
  }
}

DecodeFn DecoderOf(DType dtype) {
  DecodeFn decoder = DecoderOfPlainValues(dtype);
  if (decoder == nullptr) decoder = DecoderOfScaledBlocks(dtype);
  if (decoder == nullptr) decoder = DecoderOfCodebooks(dtype);
  TATARA_CHECK(decoder != nullptr);
  return decoder;
}

}  // namespace tatara::numerics
