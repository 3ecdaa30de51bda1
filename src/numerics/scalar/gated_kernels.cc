// The oracle of gated.h: plain loops in the order stated there.
#include "gated_kernels.h"

#include <cmath>

#include "tatara/numerics/delta_rule.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics {
namespace {

void SigmoidMul(const float* gate, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = y[i] / (1.0F + Exp(-gate[i]));
}

void ClampedSwishMul(const float* gate, const float* up, float alpha, float limit, std::int64_t n,
                     float* y) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = limit < gate[i] ? limit : gate[i];
    const float below = limit < up[i] ? limit : up[i];
    const float u = -limit > below ? -limit : below;
    y[i] = (g / (1.0F + Exp(-(alpha * g)))) * (u + 1.0F);
  }
}

void ConvSilu(const float* const* inputs, const float* taps, std::int64_t n_taps, std::int64_t n,
              float* y) {
  for (std::int64_t c = 0; c < n; ++c) {
    float sum = 0;
    for (std::int64_t tap = 0; tap < n_taps; ++tap) {
      const float x = inputs[tap] == nullptr ? 0.0F : inputs[tap][c];
      sum = std::fma(taps[tap * n + c], x, sum);
    }
    y[c] = sum / (1.0F + Exp(-sum));
  }
}

void Delta(const DeltaRuleRun& run) {
  for (std::int64_t t = 0; t < run.n_tokens; ++t) {
    const float* q = run.q + t * run.key_stride;
    const float* k = run.k + t * run.key_stride;
    const float decay = run.decay[t * run.gate_stride];
    const float beta = run.beta[t * run.gate_stride];
    for (int j = 0; j < run.n_columns; ++j) {
      float* column = run.state + j;
      float seen = 0;
      for (int i = 0; i < run.n_keys; ++i) {
        float& s = column[i * run.state_stride];
        s = s * decay;
        seen = std::fma(s, k[i], seen);
      }
      const float d = (run.v[t * run.value_stride + j] - seen) * beta;
      float out = 0;
      for (int i = 0; i < run.n_keys; ++i) {
        float& s = column[i * run.state_stride];
        s = std::fma(k[i], d, s);
        out = std::fma(s, q[i], out);
      }
      run.out[t * run.out_stride + j] = out;
    }
  }
}

}  // namespace

const GatedKernels kGatedKernelsScalar = {
    .sigmoid_mul = SigmoidMul,
    .clamped_swish_mul = ClampedSwishMul,
    .conv_silu = ConvSilu,
    .delta_rule = Delta,
};

}  // namespace tatara::numerics
