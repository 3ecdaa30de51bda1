// The table of f32 kernels: one per instruction set, all giving the same bits. The scalar ones are
// the oracle, written as plainly as the contract reads.
//
// This header is included by files compiled with extra ISA flags: declarations and plain structs
// only.
#pragma once

#include <cstdint>

namespace tatara::numerics {

struct FloatKernels {
  // Rule 2 for one group of 16 outputs: acc[t][r] = fma(panel[k][r], x[t][k], acc[t][r]), k
  // ascending. panel: n_k x 16, any alignment; x: n_tokens rows at x_stride; acc: n_tokens rows of
  // 16 at acc_stride.
  void (*panel_product)(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                        std::int64_t n_tokens, float* acc, std::int64_t acc_stride);
};

extern const FloatKernels kFloatKernelsScalar;
extern const FloatKernels kFloatKernelsAvx2;
extern const FloatKernels kFloatKernelsAvx512;

}  // namespace tatara::numerics
