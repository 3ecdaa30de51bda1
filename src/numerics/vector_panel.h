// Products of a few rows with 16 or 32 outputs over `Lanes`, every output one chain (rule 2): the
// f32 panel product, and the two products of attention. Included by the per-ISA files after their
// lanes.h; internal linkage.
#pragma once

#include <cstdint>

namespace tatara::numerics {
namespace {

// acc[r][16 * v + lane] = fma(matrix[k][16 * v + lane], x[r][k], acc[r][...]) for k = 0 .. n_k - 1,
// with the accumulators in registers; from +0 where acc is not to be read.
enum class Start { kFromZero, kFromMemory };

template <int kRows, int kVectors, Start kStart = Start::kFromMemory>
inline void ProductTile(const float* matrix, std::int64_t matrix_stride, std::int64_t n_k,
                        const float* x, std::int64_t x_stride, float* acc,
                        std::int64_t acc_stride) {
  Lanes sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = kStart == Start::kFromZero ? Zero() : Load(acc + r * acc_stride + 16 * v);
    }
  }
  for (std::int64_t k = 0; k < n_k; ++k) {
    Lanes w[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) w[v] = Load(matrix + k * matrix_stride + 16 * v);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Lanes a = Broadcast(x[r * x_stride + k]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = Fma(w[v], a, sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) Store(acc + r * acc_stride + 16 * v, sum[r][v]);
  }
}

void PanelProduct(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                  std::int64_t n_tokens, float* acc, std::int64_t acc_stride) {
  std::int64_t t = 0;
  for (; t + kTileRows <= n_tokens; t += kTileRows) {
    ProductTile<kTileRows, 1>(panel, 16, n_k, x + t * x_stride, x_stride, acc + t * acc_stride,
                              acc_stride);
  }
  for (; t + 4 <= n_tokens; t += 4) {
    ProductTile<4, 1>(panel, 16, n_k, x + t * x_stride, x_stride, acc + t * acc_stride, acc_stride);
  }
  for (; t < n_tokens; ++t) {
    ProductTile<1, 1>(panel, 16, n_k, x + t * x_stride, x_stride, acc + t * acc_stride, acc_stride);
  }
}

}  // namespace
}  // namespace tatara::numerics
