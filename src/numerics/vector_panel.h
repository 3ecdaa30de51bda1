// The f32 panel product over `Lanes`: included by the per-ISA files after their lanes.h.
#pragma once

#include <cstdint>

namespace tatara::numerics {
namespace {

template <int kTokens>
inline void PanelTile(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                      float* acc, std::int64_t acc_stride) {
  Lanes sum[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) sum[t] = Load(acc + t * acc_stride);
  for (std::int64_t k = 0; k < n_k; ++k) {
    const Lanes w = Load(panel + k * 16);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) sum[t] = Fma(w, Broadcast(x[t * x_stride + k]), sum[t]);
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) Store(acc + t * acc_stride, sum[t]);
}

void PanelProduct(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                  std::int64_t n_tokens, float* acc, std::int64_t acc_stride) {
  std::int64_t t = 0;
  for (; t + kTileTokens <= n_tokens; t += kTileTokens) {
    PanelTile<kTileTokens>(panel, n_k, x + t * x_stride, x_stride, acc + t * acc_stride,
                           acc_stride);
  }
  for (; t + 4 <= n_tokens; t += 4) {
    PanelTile<4>(panel, n_k, x + t * x_stride, x_stride, acc + t * acc_stride, acc_stride);
  }
  for (; t < n_tokens; ++t) {
    PanelTile<1>(panel, n_k, x + t * x_stride, x_stride, acc + t * acc_stride, acc_stride);
  }
}

}  // namespace
}  // namespace tatara::numerics
