// The quantised blocks of GGUF files, byte for byte (ggml's block definitions: ggml-common.h).
// Scales of type f16 are kept as their bits. Read by copying, since a file aligns none of them.
#pragma once

#include <cstdint>

namespace tatara::numerics {

struct RawQ8_0 {  // w = d * q
  std::uint16_t d;
  std::int8_t q[32];
};
struct RawQ4_0 {  // w = d * (q - 8); byte i: value i low, value i + 16 high
  std::uint16_t d;
  std::uint8_t q[16];
};
struct RawQ4_1 {  // w = d * q + m
  std::uint16_t d, m;
  std::uint8_t q[16];
};
struct RawQ5_0 {  // w = d * (q - 16); bit i of `high` is the fifth bit of value i
  std::uint16_t d;
  std::uint8_t high[4];
  std::uint8_t q[16];
};
struct RawQ5_1 {  // w = d * q + m
  std::uint16_t d, m;
  std::uint8_t high[4];
  std::uint8_t q[16];
};

// K types: 256 values in sub-blocks of 32 (Q6_K: 16). `scales` holds 8 scales and 8 minima of 6
// bits: bytes 0-3 and 4-7 have scales and minima 0-3 in their low 6 bits; bytes 8-11 have scales
// (low nibble) and minima (high nibble) 4-7, whose upper two bits are the top bits of bytes 0-3 and
// 4-7.
struct RawQ4_K {  // w = (d * scale) * q - dmin * min; each 32 bytes: one sub-block low, the next
                  // high
  std::uint16_t d, dmin;
  std::uint8_t scales[12];
  std::uint8_t q[128];
};
struct RawQ5_K {  // as Q4_K; bit j of high[i] is the fifth bit of value i of sub-block j
  std::uint16_t d, dmin;
  std::uint8_t scales[12];
  std::uint8_t high[32];
  std::uint8_t q[128];
};
struct RawQ6_K {  // w = (d * scale) * (q - 32); two halves of 128 values, see SixBits in dtype.cc
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t scales[16];
  std::uint16_t d;
};

static_assert(sizeof(RawQ8_0) == 34 && sizeof(RawQ4_0) == 18 && sizeof(RawQ4_1) == 20);
static_assert(sizeof(RawQ5_0) == 22 && sizeof(RawQ5_1) == 24);
static_assert(sizeof(RawQ4_K) == 144 && sizeof(RawQ5_K) == 176 && sizeof(RawQ6_K) == 210);

}  // namespace tatara::numerics
