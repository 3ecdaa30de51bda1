// Eight f64 lanes as one AVX-512 register: what vector_exp_f64.h and vector_erf.h are written in.
// Every function has internal linkage.
#pragma once

#include "simd_avx512.h"

namespace tatara::numerics {
namespace {

struct Doubles {
  __m512d v;
};

inline Doubles BroadcastF64(double x) {
  return {_mm512_set1_pd(x)};
}
inline Doubles LoadF64(const double* p) {
  return {_mm512_loadu_pd(p)};
}
inline void StoreF64(double* p, Doubles a) {
  _mm512_storeu_pd(p, a.v);
}
// Eight f32 values as f64, and back, rounded once.
inline Doubles LoadWidened(const float* p) {
  return {_mm512_cvtps_pd(_mm256_loadu_ps(p))};
}
inline void StoreNarrowed(float* p, Doubles a) {
  _mm256_storeu_ps(p, _mm512_cvtpd_ps(a.v));
}
inline Doubles Sub(Doubles a, Doubles b) {
  return {_mm512_sub_pd(a.v, b.v)};
}
inline Doubles Mul(Doubles a, Doubles b) {
  return {_mm512_mul_pd(a.v, b.v)};
}
inline Doubles Fma(Doubles a, Doubles b, Doubles c) {
  return {_mm512_fmadd_pd(a.v, b.v, c.v)};
}
inline Doubles Add(Doubles a, Doubles b) {
  return {_mm512_add_pd(a.v, b.v)};
}
// 2^n of whole n in [-1022, 1023]: adding 1.5 * 2^52 puts n + 1023 into the lowest bits.
inline Doubles PowerOfTwo(Doubles n) {
  const __m512i shifted = _mm512_castpd_si512(Add(n, BroadcastF64(0x1.8p52 + 1023)).v);
  return {_mm512_castsi512_pd(_mm512_slli_epi64(shifted, 52))};
}
// a < b ? yes : no, and a is NaN ? yes : no.
inline Doubles SelectIfLess(Doubles a, Doubles b, Doubles yes, Doubles no) {
  return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
inline Doubles SelectIfNaN(Doubles a, Doubles yes, Doubles no) {
  return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.v, a.v, _CMP_UNORD_Q), no.v, yes.v)};
}

}  // namespace
}  // namespace tatara::numerics
