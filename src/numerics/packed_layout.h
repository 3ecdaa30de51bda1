// How a packed matrix lies in memory: one layout for every instruction set.
//
// Rows are taken in groups of 16, the last group padded with rows of zero scale. A group holds two
// planes, blocks ascending in each: first the quants of all blocks, then their f16 scales. The unit
// of the quants is the line: 64 bytes, 16 rows x 4 bytes, row r in bytes 4 r .. 4 r + 3. "Step s"
// of 32 values means values 4 s .. 4 s + 3, one per byte. All quants are unsigned, with the type's
// offset.
//
//   per 32 values   Q8_0            8 lines: line s has step s, each byte q + 128
//                   4-bit types     4 lines: line i has step i in its low nibbles, step i + 4 high
//                   Q5_0 Q5_1 Q5_K  the 4 lines, then 1 line: bit s of a byte is step s's fifth bit
//                   Q6_K            the 4 lines, then 2 lines: bits 2 f, 2 f + 1 of the first are
//                   the
//                                   top bits of step f, of the second those of step f + 4
//   per 256 values  Q4_K Q5_K       first 3 lines: the row's 12 bytes of 6-bit scales as stored
//                   Q6_K            first 4 lines: the row's 16 signed scales
//   scales          16 x f16 d; then, for types that have one, 16 x f16 m or dmin
//
// F32, F16 and BF16 have neither blocks nor scales: value k of the 16 rows, k ascending.
//
// All other types are kept as the file has them (raw): block by block, the blocks of the 16 rows
// one after another. Products decode a panel at a time (raw_unpack.h) and go the f32 way.
//
// This header is included by files compiled with extra ISA flags: constants and plain structs only.
#pragma once

#include <cstdint>

namespace tatara::numerics {

constexpr int kGroupRows = 16;
constexpr int kLineBytes = 64;

struct PackedTraits {
  int block_elements;
  int quant_bytes;  // of one block of a group
  int scale_bytes;
};

// By DType.
constexpr PackedTraits kPackedTraits[] = {
    {1, 64, 0},                                      // F32
    {1, 32, 0},                                      // F16
    {1, 32, 0},                                      // BF16
    {32, 8 * kLineBytes, 32},                        // Q8_0
    {32, 4 * kLineBytes, 32},                        // Q4_0
    {32, 4 * kLineBytes, 64},                        // Q4_1
    {32, 5 * kLineBytes, 32},                        // Q5_0
    {32, 5 * kLineBytes, 64},                        // Q5_1
    {256, 3 * kLineBytes + 8 * 4 * kLineBytes, 64},  // Q4_K
    {256, 3 * kLineBytes + 8 * 5 * kLineBytes, 64},  // Q5_K
    {256, 4 * kLineBytes + 8 * 6 * kLineBytes, 32},  // Q6_K
};
constexpr int kRelaidTypes = 11;  // the types from here on are raw

}  // namespace tatara::numerics
