// The oracle's attention (rule 5): one tile for its rows, the merge of two results, the final
// division.
#include <cmath>
#include <limits>

#include "scalar/oracle.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics::oracle {
namespace {

float MaxNaNWins(float a, float b) {
  if (b != b) return b;
  return b > a ? b : a;
}

float Adjusted(const AttentionTile& tile, int row, int key, float score) {
  if (tile.soft_cap != 0) score = tile.soft_cap * Tanh(score / tile.soft_cap);
  if (tile.slopes == nullptr) return score;
  const float distance = std::fabs(tile.positions[row] - static_cast<float>(key));
  return std::fma(-tile.slopes[row], distance, score);
}

}  // namespace

void AttendTile(const AttentionTile& tile, const TileResult& result) {
  constexpr int kKeys = AttentionTile::kKeys;
  for (int r = 0; r < tile.n_rows; ++r) {
    const int lo = tile.lo[r], hi = tile.hi[r];
    if (hi <= lo) continue;
    const float* q = tile.q + static_cast<std::int64_t>(r) * tile.head_dim;

    float p[kKeys];
    float m = -std::numeric_limits<float>::infinity();
    for (int key = lo; key < hi; ++key) {
      float score = 0;
      for (int d = 0; d < tile.head_dim; ++d)
        score = std::fma(tile.k[d * kKeys + key], q[d], score);
      p[key] = Adjusted(tile, r, key, score * tile.scale);
      m = MaxNaNWins(m, p[key]);
    }
    float lanes[16] = {};
    for (int key = lo; key < hi; ++key) {
      p[key] = Exp(p[key] - m);
      lanes[key % 16] += p[key];
    }
    result.m[r] = m;
    result.l[r] = TreeSum(lanes);
    for (int d = 0; d < tile.value_stride; ++d) {
      float sum = 0;
      for (int key = lo; key < hi; ++key)
        sum = std::fma(tile.v[key * tile.value_stride + d], p[key], sum);
      result.o[static_cast<std::int64_t>(r) * tile.value_stride + d] = sum;
    }
  }
}

void MergeTile(const AttentionTile& tile, const TileResult& from, const TileResult& into) {
  for (int r = 0; r < tile.n_rows; ++r) {
    if (tile.hi[r] <= tile.lo[r]) continue;
    const float m = MaxNaNWins(into.m[r], from.m[r]);
    const float old_factor = Exp(into.m[r] - m);
    const float new_factor = Exp(from.m[r] - m);
    into.m[r] = m;
    into.l[r] = std::fma(into.l[r], old_factor, from.l[r] * new_factor);
    for (int d = 0; d < tile.value_stride; ++d) {
      const std::int64_t i = static_cast<std::int64_t>(r) * tile.value_stride + d;
      into.o[i] = std::fma(into.o[i], old_factor, from.o[i] * new_factor);
    }
  }
}

void FinishRow(const float* o, float l, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = o[i] / l;
}

}  // namespace tatara::numerics::oracle
