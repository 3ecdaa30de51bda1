// What the decoders of blocks share.
#pragma once

#include "decode.h"
#include "raw_blocks.h"
#include "tatara/base/bytes.h"

namespace tatara::numerics {

// kDecode writes the kElements values of one block.
template <typename Block, void (*kDecode)(const Block&, float*), int kElements>
void DecodeBlocks(const std::byte* blocks, std::int64_t n_blocks, float* out) {
  for (std::int64_t i = 0; i < n_blocks; ++i) {
    kDecode(LoadLe<Block>(blocks + i * static_cast<std::int64_t>(sizeof(Block))),
            out + i * kElements);
  }
}

}  // namespace tatara::numerics
