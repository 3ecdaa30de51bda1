// Storage types of tensors: block layouts as GGUF stores them, and their exact dequantisers.
// Source of the layouts: the GGUF specification and ggml's block definitions.
// Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tatara/base/bytes.h"

namespace tatara::numerics {

enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMXFP4,
  kNVFP4,
  kQ8_1,
  kQ2_K,
  kQ3_K,
  kQ8_K,
  kIQ1_S,
  kIQ1_M,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ2_S,
  kIQ3_XXS,
  kIQ3_S,
  kIQ4_NL,
  kIQ4_XS,
  kTQ1_0,
  kTQ2_0,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kF8_E4M3,  // OCP 8-bit floating point: no infinities, S.1111.111 is NaN
  kF8_E5M2,
};
inline constexpr int kDTypeCount = 35;

struct DTypeTraits {
  std::string_view name;        // "Q4_K"
  std::int32_t block_elements;  // 1, 32, 64 or 256
  std::int32_t block_bytes;
  bool quantised;  // products with it use 8-bit activations on the default path
};
const DTypeTraits& TraitsOf(DType dtype);

// Bytes of `n_elements` (a multiple of block_elements) in storage.
std::int64_t StorageBytes(DType dtype, std::int64_t n_elements);

// blocks: StorageBytes(dtype, out.size()) bytes, any alignment. out: f32, exact (no rounding beyond
// the format's own definition, scale products in f32 as the format's reference decoder computes
// them); F64, I32 and I64 are rounded to nearest.
void Dequantize(DType dtype, ByteSpan blocks, std::span<float> out);

// Conversions of single values; ties to even, NaN stays NaN (quiet).
float F16ToF32(std::uint16_t half);
std::uint16_t F32ToF16(float value);
float BF16ToF32(std::uint16_t value);
std::uint16_t F32ToBF16(float value);

}  // namespace tatara::numerics
