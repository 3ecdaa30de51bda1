// Eight f64 lanes as two AVX2 registers: what vector_exp_f64.h and vector_erf.h are written in.
// Every function has internal linkage.
#pragma once

#include <immintrin.h>

namespace tatara::numerics {
namespace {

struct Doubles {
  __m256d lo, hi;
};

inline Doubles BroadcastF64(double x) {
  return {_mm256_set1_pd(x), _mm256_set1_pd(x)};
}
inline Doubles LoadF64(const double* p) {
  return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
inline void StoreF64(double* p, Doubles a) {
  _mm256_storeu_pd(p, a.lo);
  _mm256_storeu_pd(p + 4, a.hi);
}
// Eight f32 values as f64, and back, rounded once.
inline Doubles LoadWidened(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))};
}
inline void StoreNarrowed(float* p, Doubles a) {
  _mm_storeu_ps(p, _mm256_cvtpd_ps(a.lo));
  _mm_storeu_ps(p + 4, _mm256_cvtpd_ps(a.hi));
}
inline Doubles Sub(Doubles a, Doubles b) {
  return {_mm256_sub_pd(a.lo, b.lo), _mm256_sub_pd(a.hi, b.hi)};
}
inline Doubles Mul(Doubles a, Doubles b) {
  return {_mm256_mul_pd(a.lo, b.lo), _mm256_mul_pd(a.hi, b.hi)};
}
inline Doubles Fma(Doubles a, Doubles b, Doubles c) {
  return {_mm256_fmadd_pd(a.lo, b.lo, c.lo), _mm256_fmadd_pd(a.hi, b.hi, c.hi)};
}
inline Doubles Add(Doubles a, Doubles b) {
  return {_mm256_add_pd(a.lo, b.lo), _mm256_add_pd(a.hi, b.hi)};
}
inline __m256d PowerOfTwo4(__m256d n) {
  const __m256d shifted = _mm256_add_pd(n, _mm256_set1_pd(0x1.8p52 + 1023));
  return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(shifted), 52));
}
// 2^n of whole n in [-1022, 1023]: adding 1.5 * 2^52 puts n + 1023 into the lowest bits.
inline Doubles PowerOfTwo(Doubles n) {
  return {PowerOfTwo4(n.lo), PowerOfTwo4(n.hi)};
}
// a < b ? yes : no, and a is NaN ? yes : no.
inline Doubles SelectIfLess(Doubles a, Doubles b, Doubles yes, Doubles no) {
  return {_mm256_blendv_pd(no.lo, yes.lo, _mm256_cmp_pd(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_pd(no.hi, yes.hi, _mm256_cmp_pd(a.hi, b.hi, _CMP_LT_OQ))};
}
inline Doubles SelectIfNaN(Doubles a, Doubles yes, Doubles no) {
  return {_mm256_blendv_pd(no.lo, yes.lo, _mm256_cmp_pd(a.lo, a.lo, _CMP_UNORD_Q)),
          _mm256_blendv_pd(no.hi, yes.hi, _mm256_cmp_pd(a.hi, a.hi, _CMP_UNORD_Q))};
}

}  // namespace
}  // namespace tatara::numerics
