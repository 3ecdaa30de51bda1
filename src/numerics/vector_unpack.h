// The exact f32 values of packed weights over the lanes of an instruction set, as panel[k][16]: the
// oracle's formulas (scalar/quant_kernels.cc, Unpack), every product and sum rounded by itself.
#pragma once

#include <cstdint>

#include "packed_layout.h"
#include "vector_common.h"
#include "vector_product.h"

namespace tatara::numerics {
namespace {

// Writes the four values of each lane of unsigned weights w: value(w_k as Ints) gives 16 floats.
template <typename Value>
TATARA_INLINE void StoreStep(Ints w, float* panel, Value value) {
  Unroll<4>([&](auto b) TATARA_LAMBDA {
    StoreFloats(panel + b * kGroupRows, value(ByteOfLane<b.value>(w)));
  });
}

template <int kHighBits, int kOffset, bool kHasMinimum>
void UnpackNibbles(const std::uint8_t* quants, const std::uint8_t* scales, std::int64_t n_k,
                   float* panel) {
  for (std::int64_t k = 0; k < n_k; k += 32) {
    const Floats d = LoadHalves(scales);
    const Floats m = kHasMinimum ? LoadHalves(scales + 32) : d;
    Unroll<8>([&](auto s) TATARA_LAMBDA {
      StoreStep(StepWeights<kHighBits, s.value>(quants), panel + (k + 4 * s) * kGroupRows,
                [&](Ints w) TATARA_LAMBDA {
                  if (kOffset != 0) w = SubtractWord(w, kOffset);
                  const Floats product = Multiply(d, ToFloats(w));
                  return kHasMinimum ? Plus(product, m) : product;
                });
    });
    quants += (4 + kHighBits) * kLineBytes;
    scales += kHasMinimum ? 64 : 32;
  }
}

void UnpackQ8_0(const std::uint8_t* quants, const std::uint8_t* scales, std::int64_t n_k,
                float* panel) {
  for (std::int64_t k = 0; k < n_k; k += 32, scales += 32) {
    const Floats d = LoadHalves(scales);
    for (int s = 0; s < 8; ++s, quants += kLineBytes) {
      StoreStep(LoadLine(quants), panel + (k + 4 * s) * kGroupRows,
                [&](Ints w) TATARA_LAMBDA { return Multiply(d, ToFloats(SubtractWord(w, 128))); });
    }
  }
}

template <int kHighBits>
void UnpackNibblesOfK(const std::uint8_t* quants, const std::uint8_t* scales, std::int64_t n_k,
                      float* panel) {
  for (std::int64_t k = 0; k < n_k; k += 256) {
    const Floats d = LoadHalves(scales);
    const Floats dmin = LoadHalves(scales + 32);
    const ScaleBytes bytes(quants);
    quants += 3 * kLineBytes;
    Unroll<8>([&](auto j) TATARA_LAMBDA {
      const Floats scale = Multiply(d, ToFloats(ByteOfLane<j.value % 4>(bytes.scales[j / 4])));
      const Floats m = Multiply(dmin, ToFloats(ByteOfLane<j.value % 4>(bytes.minima[j / 4])));
      Unroll<8>([&](auto s) TATARA_LAMBDA {
        StoreStep(StepWeights<kHighBits, s.value>(quants),
                  panel + (k + 32 * j + 4 * s) * kGroupRows,
                  [&](Ints w) TATARA_LAMBDA { return Minus(Multiply(scale, ToFloats(w)), m); });
      });
      quants += (4 + kHighBits) * kLineBytes;
    });
    scales += 64;
  }
}

void UnpackQ6_K(const std::uint8_t* quants, const std::uint8_t* scales, std::int64_t n_k,
                float* panel) {
  for (std::int64_t k = 0; k < n_k; k += 256) {
    const Floats d = LoadHalves(scales);
    const std::uint8_t* lines = quants + 4 * kLineBytes;
    Unroll<8>([&](auto j) TATARA_LAMBDA {
      const Ints bytes = LoadLine(quants + j / 2 * kLineBytes);
      Unroll<8>([&](auto s) TATARA_LAMBDA {
        constexpr int kByte = 2 * (j.value % 2) + s.value / 4;
        const Floats scale = Multiply(d, ToFloats(SignedByteOfLane<kByte>(bytes)));
        StoreStep(StepWeights<2, s.value>(lines), panel + (k + 32 * j + 4 * s) * kGroupRows,
                  [&](Ints w)
                      TATARA_LAMBDA { return Multiply(scale, ToFloats(SubtractWord(w, 32))); });
      });
      lines += 6 * kLineBytes;
    });
    quants = lines;
    scales += 32;
  }
}

void UnpackF16(const std::uint8_t* quants, const std::uint8_t*, std::int64_t n_k, float* panel) {
  for (std::int64_t k = 0; k < n_k; ++k) {
    StoreFloats(panel + k * kGroupRows, LoadHalves(quants + k * 2 * kGroupRows));
  }
}

void UnpackBF16(const std::uint8_t* quants, const std::uint8_t*, std::int64_t n_k, float* panel) {
  for (std::int64_t k = 0; k < n_k; ++k) {
    StoreFloats(panel + k * kGroupRows, LoadBfloats(quants + k * 2 * kGroupRows));
  }
}

}  // namespace
}  // namespace tatara::numerics
