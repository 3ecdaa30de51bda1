// The decoder of each storage type; Dequantize checks sizes and calls it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tatara/numerics/dtype.h"

namespace tatara::numerics {

// Writes the values of `n_blocks` blocks.
using DecodeFn = void (*)(const std::byte* blocks, std::int64_t n_blocks, float* out);
DecodeFn DecoderOf(DType dtype);

// By family; null for a type of another one.
DecodeFn DecoderOfPlainValues(DType dtype);
DecodeFn DecoderOfScaledBlocks(DType dtype);
DecodeFn DecoderOfCodebooks(DType dtype);

}  // namespace tatara::numerics
