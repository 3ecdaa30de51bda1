// The table of the kernels of gated.h: one per instruction set, all giving the same bits. The
// scalar ones are the oracle. Included by files compiled with extra ISA flags: declarations and
// plain structs only.
#pragma once

#include <cstdint>

namespace tatara::numerics {

struct DeltaRuleRun;

struct GatedKernels {
  void (*sigmoid_mul)(const float* gate, std::int64_t n, float* y);
  void (*clamped_swish_mul)(const float* gate, const float* up, float alpha, float limit,
                            std::int64_t n, float* y);
  // inputs: n_taps pointers, null for a row of zeros.
  void (*conv_silu)(const float* const* inputs, const float* taps, std::int64_t n_taps,
                    std::int64_t n, float* y);
  void (*delta_rule)(const DeltaRuleRun& run);
};

extern const GatedKernels kGatedKernelsScalar;
extern const GatedKernels kGatedKernelsAvx2;
extern const GatedKernels kGatedKernelsAvx512;

}  // namespace tatara::numerics
