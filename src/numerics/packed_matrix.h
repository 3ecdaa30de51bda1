// What a Matrix holds.
#pragma once

#include <cstdint>

#include "aligned_buffer.h"
#include "packed_layout.h"
#include "tatara/numerics/matrix.h"

namespace tatara::numerics {

inline bool IsRaw(DType dtype) {
  return static_cast<int>(dtype) >= kRelaidTypes;
}
inline PackedTraits PackedTraitsOf(DType dtype) {
  if (!IsRaw(dtype)) return kPackedTraits[static_cast<int>(dtype)];
  const DTypeTraits& raw = TraitsOf(dtype);
  return {.block_elements = raw.block_elements,
          .quant_bytes = raw.block_bytes * kGroupRows,
          .scale_bytes = 0};
}

struct Matrix::Packed {
  DType dtype = DType::kF32;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  std::int64_t n_groups = 0;
  std::int64_t group_bytes = 0;  // a multiple of 64
  AlignedBuffer data;

  PackedTraits traits() const { return PackedTraitsOf(dtype); }
  std::int64_t n_blocks() const { return n_cols / traits().block_elements; }
  const std::uint8_t* quants(std::int64_t group) const {
    return data.as<const std::uint8_t>() + group * group_bytes;
  }
  const std::uint8_t* scales(std::int64_t group) const {
    return quants(group) + n_blocks() * traits().quant_bytes;
  }
};

}  // namespace tatara::numerics
