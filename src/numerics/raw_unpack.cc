#include "raw_unpack.h"

#include "decode.h"
#include "packed_layout.h"

namespace tatara::numerics {
namespace {

constexpr int kBlockMax = 256;

}  // namespace

void UnpackRaw(DType dtype, const std::uint8_t* blocks, std::int64_t n_k, float* panel) {
  const DTypeTraits& traits = TraitsOf(dtype);
  const DecodeFn decode = DecoderOf(dtype);
  alignas(64) float rows[kGroupRows][kBlockMax];
  for (std::int64_t k = 0; k < n_k; k += traits.block_elements) {
    for (int r = 0; r < kGroupRows; ++r, blocks += traits.block_bytes) {
      decode(reinterpret_cast<const std::byte*>(blocks), 1, rows[r]);
    }
    for (int i = 0; i < traits.block_elements; ++i, panel += kGroupRows) {
      for (int r = 0; r < kGroupRows; ++r) panel[r] = rows[r][i];
    }
  }
}

}  // namespace tatara::numerics
