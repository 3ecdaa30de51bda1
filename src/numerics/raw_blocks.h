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

struct RawQ8_1 {  // w = d * q; `sum` is d times the sum of q, for products only
  std::uint16_t d, sum;
  std::int8_t q[32];
};
struct RawQ2_K {  // w = (d * scale) * q - dmin * min over 16 values; scale low, min high in
                  // `scales`
  std::uint8_t scales[16];
  std::uint8_t q[64];  // TwoBits in decode_k.cc says which two bits
  std::uint16_t d, dmin;
};
struct RawQ3_K {          // w = (d * (scale - 32)) * (q - 4) over 16 values
  std::uint8_t high[32];  // bit j of byte i: third bit of value 32 j + i
  std::uint8_t q[64];
  std::uint8_t scales[12];  // bytes 0-7: low nibbles of scales 0-7, then 8-15; 8-11: two bits each
  std::uint16_t d;
};
struct RawQ8_K {  // w = d * q
  float d;
  std::int8_t q[256];
  std::int16_t sums[16];  // of q; for products only
};
struct RawTQ1_0 {  // w = d * (digit - 1): base-3 fractions, five digits a byte (four in `rest`)
  std::uint8_t q[48];
  std::uint8_t rest[4];
  std::uint16_t d;
};
struct RawTQ2_0 {  // w = d * (q - 1)
  std::uint8_t q[64];
  std::uint16_t d;
};
struct RawMXFP4 {  // w = 2^(e - 128) * level: twice e2m1 numbers; byte i: value i low, i + 16 high
  std::uint8_t e;
  std::uint8_t q[16];
};
struct RawNVFP4 {  // w = d * level over 16 values; d is unsigned e4m3, halved
  std::uint8_t d[4];
  std::uint8_t q[32];
};

// The IQ types: indexes into codebooks.h, signs, and odd sub-block scales.
struct RawIQ2_XXS {  // per 32 values: four indexes of a byte, then four times 7 signs and the scale
  std::uint16_t d;
  std::uint8_t q[64];
};
struct RawIQ2_XS {  // per 8 values: index of 9 bits, 7 signs above
  std::uint16_t d;
  std::uint16_t q[32];
  std::uint8_t scales[8];
};
struct RawIQ2_S {  // index of 8 bits in `q`, two more in `high`
  std::uint16_t d;
  std::uint8_t q[32];
  std::uint8_t signs[32];
  std::uint8_t high[8];
  std::uint8_t scales[8];
};
struct RawIQ3_XXS {  // per 4 values an index; then, per 32 values, four times 7 signs and the scale
  std::uint16_t d;
  std::uint8_t q[64];
  std::uint8_t signs[32];
};
struct RawIQ3_S {  // per 4 values: 8 bits of index in `q`, the ninth in `high`
  std::uint16_t d;
  std::uint8_t q[64];
  std::uint8_t high[8];
  std::uint8_t signs[32];
  std::uint8_t scales[4];
};
struct RawIQ1_S {  // per 8 values: 8 bits of index in `q`, three more in `high` (per 32 values),
                   // with the scale at bit 12 and the sign of the shift at bit 15
  std::uint16_t d;
  std::uint8_t q[32];
  std::uint16_t high[8];
};
struct RawIQ1_M {  // as IQ1_S; a nibble of `high` per 8 values; d is in the top nibbles of `scales`
  std::uint8_t q[32];
  std::uint8_t high[16];
  std::uint16_t scales[4];
};
struct RawIQ4_NL {  // w = d * level; byte i: value i low, value i + 16 high
  std::uint16_t d;
  std::uint8_t q[16];
};
struct RawIQ4_XS {  // w = (d * (scale - 32)) * level over 32 values
  std::uint16_t d;
  std::uint16_t scales_high;
  std::uint8_t scales_low[4];
  std::uint8_t q[128];
};

static_assert(sizeof(RawQ8_0) == 34 && sizeof(RawQ4_0) == 18 && sizeof(RawQ4_1) == 20);
static_assert(sizeof(RawQ5_0) == 22 && sizeof(RawQ5_1) == 24);
static_assert(sizeof(RawQ4_K) == 144 && sizeof(RawQ5_K) == 176 && sizeof(RawQ6_K) == 210);
static_assert(sizeof(RawQ8_1) == 36 && sizeof(RawQ2_K) == 84 && sizeof(RawQ3_K) == 110);
static_assert(sizeof(RawQ8_K) == 292 && sizeof(RawTQ1_0) == 54 && sizeof(RawTQ2_0) == 66);
static_assert(sizeof(RawMXFP4) == 17 && sizeof(RawNVFP4) == 36);
static_assert(sizeof(RawIQ2_XXS) == 66 && sizeof(RawIQ2_XS) == 74 && sizeof(RawIQ2_S) == 82);
static_assert(sizeof(RawIQ3_XXS) == 98 && sizeof(RawIQ3_S) == 110);
static_assert(sizeof(RawIQ1_S) == 50 && sizeof(RawIQ1_M) == 56);
static_assert(sizeof(RawIQ4_NL) == 18 && sizeof(RawIQ4_XS) == 136);

}  // namespace tatara::numerics
