#include "tatara/numerics/gated.h"

#include "fp_guard.h"
#include "gated_kernels.h"
#include "tatara/base/check.h"
#include "tatara/numerics/delta_rule.h"
#include "tatara/numerics/isa.h"

namespace tatara::numerics {
namespace {

const GatedKernels& Kernels() {
  switch (ActiveIsa()) {
    case Isa::kAvx512:
      return kGatedKernelsAvx512;
    case Isa::kAvx2:
      return kGatedKernelsAvx2;
    case Isa::kScalar:
      break;
  }
  return kGatedKernelsScalar;
}

std::int64_t Size(std::span<const float> x) {
  return static_cast<std::int64_t>(x.size());
}

}  // namespace

void SigmoidMul(std::span<const float> gate, std::span<float> y) {
  TATARA_CHECK(gate.size() == y.size());
  const FpGuard guard;
  Kernels().sigmoid_mul(gate.data(), Size(y), y.data());
}

void ClampedSwishMul(std::span<const float> gate, std::span<const float> up, float alpha,
                     float limit, std::span<float> y) {
  TATARA_CHECK(gate.size() == y.size() && up.size() == y.size());
  const FpGuard guard;
  Kernels().clamped_swish_mul(gate.data(), up.data(), alpha, limit, Size(y), y.data());
}

void CausalConvSilu(std::span<const float* const> inputs, std::span<const float> taps,
                    std::span<float> y) {
  TATARA_CHECK(taps.size() == inputs.size() * y.size());
  const FpGuard guard;
  Kernels().conv_silu(inputs.data(), taps.data(), static_cast<std::int64_t>(inputs.size()), Size(y),
                      y.data());
}

void DeltaRule(const DeltaRuleRun& run) {
  TATARA_CHECK(run.n_keys >= 0 && run.n_columns >= 0 && run.n_columns <= run.state_stride);
  const FpGuard guard;
  Kernels().delta_rule(run);
}

}  // namespace tatara::numerics
