// Attention kernels (rule 5) over `Lanes`. Scores have keys as lanes, outputs have the value's
// dimension; rows of one key head are worked on together, so that a vector of K or V read once
// serves them all. Included by the per-ISA files after their lanes.h; internal linkage.
#pragma once

#include <cstdint>

#include "float_kernels.h"
#include "vector_functions.h"
#include "vector_panel.h"
#include "vector_rows.h"

namespace tatara::numerics {
namespace {

constexpr int kKeys = AttentionTile::kKeys;
constexpr int kKeyVectors = kKeys / 16;

// ProductTile over vectors first_vector .. end_vector - 1 of the outputs.
template <int kRows, Start kStart>
inline void ProductRows(const float* matrix, std::int64_t matrix_stride, std::int64_t n_k,
                        const float* x, std::int64_t x_stride, float* acc, std::int64_t acc_stride,
                        int first_vector, int end_vector) {
  int v = first_vector;
  for (; v + kTileVectors <= end_vector; v += kTileVectors) {
    ProductTile<kRows, kTileVectors, kStart>(matrix + 16 * v, matrix_stride, n_k, x, x_stride,
                                             acc + 16 * v, acc_stride);
  }
  for (; v < end_vector; ++v) {
    ProductTile<kRows, 1, kStart>(matrix + 16 * v, matrix_stride, n_k, x, x_stride, acc + 16 * v,
                                  acc_stride);
  }
}

// In two steps, each a loop over rows: one row's maximum, exponentials and sum are a long chain of
// latencies, and only the short chains of many rows fill the pipelines.

// Scales a row of scores in place, keys outside lo .. hi - 1 to -inf, and returns the maximum.
inline float ScaleRowOfScores(float* p, float scale, int lo, int hi) {
  Mask nan = NoLanes();
  Lanes max = Broadcast(kMinusInfinity);
  const bool whole = lo == 0 && hi == kKeys;
#pragma GCC unroll 4
  for (int v = 0; v < kKeyVectors; ++v) {
    // Vectors of keys that no row sees hold nothing; what is there is masked.
    Lanes s = Mul(Load(p + 16 * v), Broadcast(scale));
    if (!whole) {
      const int first = lo - 16 * v, end = hi - 16 * v;
      const Mask seen = LanesBetween(first < 0 ? 0 : (first > 16 ? 16 : first),
                                     end < 0 ? 0 : (end > 16 ? 16 : end));
      s = Select(seen, s, Broadcast(kMinusInfinity));
    }
    Store(p + 16 * v, s);
    nan = Or(nan, IsNaN(s));
    max = Larger(max, s);
  }
  return Bits(nan) != 0 ? __builtin_nanf("") : TreeLarger(max);
}

// Scores that more than a scale applies to: scaled, capped, and less ALiBi's slope times distance,
// in place. Not inlined: it would take registers of the common path.
[[gnu::noinline]] void AdjustRowOfScores(const AttentionTile& tile, int row, float* p) {
  static constexpr float kLane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Lanes scale = Broadcast(tile.scale), cap = Broadcast(tile.soft_cap);
  for (int v = 0; v < kKeyVectors; ++v) {
    Lanes s = Mul(Load(p + 16 * v), scale);
    if (tile.soft_cap != 0) s = SoftCapLanes(s, cap);
    if (tile.slopes != nullptr) {
      const Lanes distance =
          Abs(Sub(Broadcast(tile.positions[row] - static_cast<float>(16 * v)), Load(kLane)));
      s = Fma(Broadcast(-tile.slopes[row]), distance, s);
    }
    Store(p + 16 * v, s);
  }
}

// From scaled scores to weights exp(s - m), in place; returns their sum. A masked key's weight is
// +0, or NaN where all are.
inline float WeighRow(float* p, float m) {
  const Lanes shift = Broadcast(m);
  Lanes sum = Zero();
#pragma GCC unroll 4
  for (int v = 0; v < kKeyVectors; ++v) {
    const Lanes weight = ExpOfNonPositive(Sub(Load(p + 16 * v), shift));
    Store(p + 16 * v, weight);
    sum = Add(sum, weight);
  }
  return TreeSum(sum);
}

// o = chain over the keys that each row sees, ascending: keys that not all rows see row by row, the
// rest for all rows together.
template <int kRows>
inline void SumValues(const AttentionTile& tile, int row, const float* p, float* o) {
  const std::int64_t stride = tile.value_stride;
  const int n_vectors = tile.value_stride / 16;
  int common_lo = 0, common_hi = kKeys;
  bool all_start_together = true;
  for (int r = 0; r < kRows; ++r) {
    const int lo = tile.lo[row + r], hi = tile.hi[row + r];
    common_lo = lo > common_lo ? lo : common_lo;
    common_hi = hi < common_hi ? hi : common_hi;
    all_start_together &= lo == tile.lo[row];
  }
  const auto each = [&](int r, int first, int end) {
    if (first >= end) return;
    ProductRows<1, Start::kFromMemory>(tile.v + first * stride, stride, end - first,
                                       p + r * kKeys + first, kKeys, o + r * stride, stride, 0,
                                       n_vectors);
  };
  const auto together = [&]<Start kStart>() {
    ProductRows<kRows, kStart>(tile.v + common_lo * stride, stride, common_hi - common_lo,
                               p + common_lo, kKeys, o, stride, 0, n_vectors);
  };
  if (all_start_together && common_lo < common_hi) {
    together.template operator()<Start::kFromZero>();
  } else {
    for (std::int64_t i = 0; i < kRows * stride; i += 16) Store(o + i, Zero());
    if (common_lo >= common_hi) {
      for (int r = 0; r < kRows; ++r) each(r, tile.lo[row + r], tile.hi[row + r]);
      return;
    }
    for (int r = 0; r < kRows; ++r) each(r, tile.lo[row + r], common_lo);
    together.template operator()<Start::kFromMemory>();
  }
  for (int r = 0; r < kRows; ++r) each(r, common_hi, tile.hi[row + r]);
}

template <int kRows>
void TileRows(const AttentionTile& tile, int row, const TileResult& result) {
  alignas(64) float p[kRows * kKeys];
  int first_key = kKeys, end_key = 0;
  for (int r = 0; r < kRows; ++r) {
    const int lo = tile.lo[row + r], hi = tile.hi[row + r];
    if (hi <= lo) continue;
    first_key = lo < first_key ? lo : first_key;
    end_key = hi > end_key ? hi : end_key;
  }
  if (first_key >= end_key) return;
  ProductRows<kRows, Start::kFromZero>(
      tile.k, kKeys, tile.head_dim, tile.q + static_cast<std::int64_t>(row) * tile.head_dim,
      tile.head_dim, p, kKeys, first_key / 16, (end_key + 15) / 16);
  float scale = tile.scale;
  if (tile.soft_cap != 0 || tile.slopes != nullptr) {
    for (int r = 0; r < kRows; ++r) AdjustRowOfScores(tile, row + r, p + r * kKeys);
    scale = 1;  // is in already, and times one changes no bit
  }
  float m[kRows];
  for (int r = 0; r < kRows; ++r) {
    m[r] = ScaleRowOfScores(p + r * kKeys, scale, tile.lo[row + r], tile.hi[row + r]);
  }
  for (int r = 0; r < kRows; ++r) {
    if (tile.hi[row + r] <= tile.lo[row + r]) continue;
    result.m[row + r] = m[r];
    result.l[row + r] = WeighRow(p + r * kKeys, m[r]);
  }
  SumValues<kRows>(tile, row, p, result.o + static_cast<std::int64_t>(row) * tile.value_stride);
}

// The last rows, fewer than kRows + 1 of them.
template <int kRows>
void TileRest(const AttentionTile& tile, int row, const TileResult& result) {
  if (tile.n_rows - row == kRows) {
    TileRows<kRows>(tile, row, result);
  } else if constexpr (kRows > 1) {
    TileRest<kRows - 1>(tile, row, result);
  }
}

void AttendTile(const AttentionTile& tile, const TileResult& result) {
  int row = 0;
  for (; row + kTileRows <= tile.n_rows; row += kTileRows) TileRows<kTileRows>(tile, row, result);
  if (row < tile.n_rows) TileRest<kTileRows - 1>(tile, row, result);
}

void MergeTile(const AttentionTile& tile, const TileResult& from, const TileResult& into) {
  for (int first = 0; first < tile.n_rows; first += 16) {
    const int n_rows = tile.n_rows - first < 16 ? tile.n_rows - first : 16;
    const Mask rows = FirstLanes(n_rows);
    const Lanes old_m = LoadMasked(into.m + first, rows), new_m = LoadMasked(from.m + first, rows);
    const Lanes max = Select(IsNaN(new_m), new_m, Larger(old_m, new_m));
    const Lanes old_factor = ExpLanes(Sub(old_m, max)), new_factor = ExpLanes(Sub(new_m, max));
    const Lanes sum = Fma(LoadMasked(into.l + first, rows), old_factor,
                          Mul(LoadMasked(from.l + first, rows), new_factor));
    alignas(64) float m[16], l[16], old_factors[16], new_factors[16];
    Store(m, max);
    Store(l, sum);
    Store(old_factors, old_factor);
    Store(new_factors, new_factor);
    for (int r = 0; r < n_rows; ++r) {
      const int row = first + r;
      if (tile.hi[row] <= tile.lo[row]) continue;
      into.m[row] = m[r];
      into.l[row] = l[r];
      const Lanes a = Broadcast(old_factors[r]), b = Broadcast(new_factors[r]);
      const std::int64_t offset = static_cast<std::int64_t>(row) * tile.value_stride;
      for (std::int64_t d = offset; d < offset + tile.value_stride; d += 16) {
        Store(into.o + d, Fma(Load(into.o + d), a, Mul(Load(from.o + d), b)));
      }
    }
  }
}

void FinishRow(const float* o, float l, std::int64_t n, float* out) {
  const Lanes sum = Broadcast(l);
  MapRow(o, n, out, [sum](Lanes v) { return Div(v, sum); });
}

}  // namespace
}  // namespace tatara::numerics
