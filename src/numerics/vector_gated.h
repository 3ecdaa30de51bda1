// The kernels of gated.h over `Lanes`, columns and channels as lanes. Included by the per-ISA files
// after their lanes.h; internal linkage.
#pragma once

#include <cstdint>

#include "gated_kernels.h"
#include "tatara/numerics/delta_rule.h"
#include "vector_functions.h"
#include "vector_map.h"

namespace tatara::numerics {
namespace {

void SigmoidMulRow(const float* gate, std::int64_t n, float* y) {
  const Lanes one = Broadcast(1.0F);
  MapRow(gate, y, n, y, [one](Lanes g, Lanes v) TATARA_INLINE_LAMBDA {
    return Div(v, Add(one, ExpLanes(Negate(g))));
  });
}

void ClampedSwishMulRow(const float* gate, const float* up, float alpha, float limit,
                        std::int64_t n, float* y) {
  const Lanes one = Broadcast(1.0F), a = Broadcast(alpha);
  const Lanes most = Broadcast(limit), least = Broadcast(-limit);
  MapRow(gate, up, n, y, [=](Lanes x, Lanes u) TATARA_INLINE_LAMBDA {
    const Lanes g = Smaller(x, most);
    const Lanes swish = Div(g, Add(one, ExpLanes(Negate(Mul(a, g)))));
    return Mul(swish, Add(Larger(Smaller(u, most), least), one));
  });
}

void ConvSiluRow(const float* const* inputs, const float* taps, std::int64_t n_taps, std::int64_t n,
                 float* y) {
  const Lanes one = Broadcast(1.0F);
  for (std::int64_t c = 0; c < n; c += 16) {
    const Mask here = FirstLanes(n - c < 16 ? n - c : 16);
    Lanes sum = Zero();
    for (std::int64_t tap = 0; tap < n_taps; ++tap) {
      const Lanes x = inputs[tap] == nullptr ? Zero() : LoadMasked(inputs[tap] + c, here);
      sum = Fma(LoadMasked(taps + tap * n + c, here), x, sum);
    }
    StoreMasked(y + c, here, Div(sum, Add(one, ExpLanes(Negate(sum)))));
  }
}

// Vectors of columns whose chains run side by side: enough to cover a multiply-add's latency, few
// enough that sums, corrections and a row of the state stay in registers.
constexpr int kDeltaVectors = kTileVectors > 1 ? 4 : 2;

// Columns first .. first + 16 * kVectors - 1; the last ones under `rest` where kMasked (then
// kVectors is 1).
template <int kVectors, bool kMasked>
inline void DeltaColumns(const DeltaRuleRun& run, std::int64_t first, Mask rest) {
  const auto load = [&](const float* p) TATARA_INLINE_LAMBDA {
    if constexpr (kMasked) return LoadMasked(p, rest);
    return Load(p);
  };
  const auto store = [&](float* p, Lanes v) TATARA_INLINE_LAMBDA {
    if constexpr (kMasked) {
      StoreMasked(p, rest, v);
    } else {
      Store(p, v);
    }
  };
  float* const state = run.state + first;
  const std::int64_t stride = run.state_stride;
  for (std::int64_t t = 0; t < run.n_tokens; ++t) {
    const float* q = run.q + t * run.key_stride;
    const float* k = run.k + t * run.key_stride;
    const float* v = run.v + t * run.value_stride + first;
    const Lanes decay = Broadcast(run.decay[t * run.gate_stride]);
    const Lanes beta = Broadcast(run.beta[t * run.gate_stride]);
    Lanes sum[kVectors], d[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sum[j] = Zero();
    for (int i = 0; i < run.n_keys; ++i) {
      const Lanes key = Broadcast(k[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        sum[j] = Fma(Mul(load(state + i * stride + 16 * j), decay), key, sum[j]);
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      d[j] = Mul(Sub(load(v + 16 * j), sum[j]), beta);
      sum[j] = Zero();
    }
    for (int i = 0; i < run.n_keys; ++i) {
      const Lanes key = Broadcast(k[i]), query = Broadcast(q[i]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        float* const s = state + i * stride + 16 * j;
        const Lanes changed = Fma(key, d[j], Mul(load(s), decay));
        store(s, changed);
        sum[j] = Fma(changed, query, sum[j]);
      }
    }
    float* const out = run.out + t * run.out_stride + first;
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) store(out + 16 * j, sum[j]);
  }
}

void DeltaRuleColumns(const DeltaRuleRun& run) {
  std::int64_t first = 0;
  for (; first + 16 * kDeltaVectors <= run.n_columns; first += 16 * kDeltaVectors) {
    DeltaColumns<kDeltaVectors, false>(run, first, NoLanes());
  }
  for (; first + 16 <= run.n_columns; first += 16) DeltaColumns<1, false>(run, first, NoLanes());
  if (first < run.n_columns) DeltaColumns<1, true>(run, first, FirstLanes(run.n_columns - first));
}

}  // namespace
}  // namespace tatara::numerics

#define TATARA_GATED_KERNELS                   \
  {                                            \
      .sigmoid_mul = SigmoidMulRow,            \
      .clamped_swish_mul = ClampedSwishMulRow, \
      .conv_silu = ConvSiluRow,                \
      .delta_rule = DeltaRuleColumns,          \
  }
