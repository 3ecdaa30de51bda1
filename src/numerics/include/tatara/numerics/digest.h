// Digests of f32 values as the contract compares them (rule 8): little-endian bytes in order, every
// NaN written as 0x7fc00000; the sign of zero counts. Thread safety: free functions.
#pragma once

#include <span>
#include <string>

#include "tatara/base/sha256.h"

namespace tatara::numerics {

// Adds the values to a running digest.
void UpdateWithF32(Sha256& digest, std::span<const float> values);

// Hexadecimal SHA-256 of the values.
std::string F32Sha256(std::span<const float> values);

}  // namespace tatara::numerics
