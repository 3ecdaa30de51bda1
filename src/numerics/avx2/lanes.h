// Sixteen f32 lanes as two AVX2 registers; lanes 0 to 7 in `lo`. Every function has internal
// linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tatara::numerics {
namespace {

struct Lanes {
  __m256 lo, hi;
};

// Tokens of one register tile: 2 x 6 accumulators, 2 of the panel and 1 broadcast fill 15 of 16
// registers.
constexpr int kTileTokens = 6;

inline Lanes Zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Lanes Broadcast(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline Lanes Load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void Store(float* p, Lanes v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
inline Lanes Fma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

}  // namespace
}  // namespace tatara::numerics
