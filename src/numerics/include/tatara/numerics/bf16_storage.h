// Values that lie in memory as bf16 while everything is computed in f32 (rule 9). What a backward
// pass reads again is rounded once, to nearest, ties to even. An optimiser's moments change by less
// than half a step of bf16 and would stand still under that: they are rounded up or down by a
// number drawn for their place, so that the expectation of what is stored is the value itself
// (Gupta et al. 2015, arXiv:1502.02551, section 3).
//
// The same bits on every instruction set; NaN stays NaN (quiet), infinities stay.
// Thread safety: free functions, no state besides the active instruction set.
#pragma once

#include <cstdint>
#include <span>

#include "tatara/numerics/training.h"

namespace tatara::numerics {

// x[i] becomes BF16ToF32(F32ToBF16(x[i])) (dtype.h); stored[i] its 16 bits, where `stored` is not
// empty.
void RoundToBF16(std::span<float> x, std::span<std::uint16_t> stored = {});
void LoadBF16(std::span<const std::uint16_t> stored, std::span<float> x);

// The 32-bit word of place p is word w of the Philox block of (seed, rounding, step, 16 g + j), p =
// 64 g + 16 w + j. The stored bits are the upper half of the f32's bits plus 16 of the word's: the
// lower ones for what comes first, the upper ones for a second value of the same place.
struct DrawnRounding {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint64_t first_place = 0;  // of the first value of a call
};
enum class DrawnHalf { kFirst, kSecond };
void StoreBF16(const DrawnRounding& rounding, DrawnHalf half, std::span<const float> x,
               std::span<std::uint16_t> stored);

// AdamW of training.h over moments that are stored so: the weights' step is made from the moments
// before they are rounded.
void AdamW(const AdamWStep& step, const DrawnRounding& rounding, std::span<const float> gradient,
           std::span<float> weight, std::span<std::uint16_t> first_moment,
           std::span<std::uint16_t> second_moment);

}  // namespace tatara::numerics
