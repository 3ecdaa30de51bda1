// Sixteen f32 lanes as one AVX-512 register. Every function has internal linkage.
#pragma once

#include <cstdint>

#include "simd_avx512.h"

namespace tatara::numerics {
namespace {

struct Lanes {
  __m512 v;
};

// Tokens of one register tile: 12 independent chains cover twice the 4 cycles of a multiply-add
// with room for its loads; 12 accumulators and the panel fit 32 registers easily.
constexpr int kTileTokens = 12;

inline Lanes Zero() {
  return {_mm512_setzero_ps()};
}
inline Lanes Broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline Lanes Load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void Store(float* p, Lanes v) {
  _mm512_storeu_ps(p, v.v);
}
inline Lanes Fma(Lanes a, Lanes b, Lanes c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}

}  // namespace
}  // namespace tatara::numerics
