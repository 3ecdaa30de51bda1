// A matrix of 4-bit codes, however it was packed, as f32 or Q4_0 rows. Thread safety: free
// functions, no state.
#pragma once

#include <cstdint>
#include <vector>

#include "held_store.h"
#include "huggingface/shards.h"

namespace tatara::weights {

// w[o][k] = scale * (code - zero), scale and zero of group[k] and output o.
struct FourBits {
  std::int64_t n_out = 0, n_in = 0, n_groups = 0;
  std::vector<std::uint8_t> codes;  // [o * n_in + k]
  std::vector<std::int16_t> zeros;  // [o * n_groups + g]
  std::vector<float> scales;        // [o * n_groups + g]
  std::vector<std::int32_t> group;  // [k], below n_groups
};

// Q4_0 where that means the same values, else f32; the bytes are the store's.
SourceTensor MadeOf(const FourBits& matrix, HeldStore& store);

extern const SafetensorsType kMadeF32;

}  // namespace tatara::weights
