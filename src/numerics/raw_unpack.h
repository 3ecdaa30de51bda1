// Panels of the types that are kept as the file has them.
#pragma once

#include <cstdint>

#include "tatara/numerics/dtype.h"

namespace tatara::numerics {

// The exact values of n_k values (whole blocks) of a group of 16 rows, as panel[k][16].
void UnpackRaw(DType dtype, const std::uint8_t* blocks, std::int64_t n_k, float* panel);

}  // namespace tatara::numerics
