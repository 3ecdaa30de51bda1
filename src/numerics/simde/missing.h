// AVX-512 intrinsics that SIMDe 0.7.4 lacks or computes otherwise than the instruction, by halves
// on AVX2. Every function has internal linkage.
#pragma once

namespace tatara::numerics {
namespace {
namespace simde_missing {

inline __m256 Low(__m512 v) {
  return simde__m512_to_private(v).m256[0];
}
inline __m256 High(__m512 v) {
  return simde__m512_to_private(v).m256[1];
}
inline __m512 Join(__m256 low, __m256 high) {
  simde__m512_private v;
  v.m256[0] = low;
  v.m256[1] = high;
  return simde__m512_from_private(v);
}

inline __m512 MaskLoad(__mmask16 mask, const float* p) {
  simde__m512_private v;
  for (int i = 0; i < 16; ++i) v.f32[i] = (mask >> i & 1) != 0 ? p[i] : 0.0F;
  return simde__m512_from_private(v);
}
inline void MaskStore(float* p, __mmask16 mask, __m512 from) {
  const simde__m512_private v = simde__m512_to_private(from);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) p[i] = v.f32[i];
  }
}

inline __m256 Scale8(__m256 x, __m256 n) {
  const __m256i exponent = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
// For |n| <= 252 and a finite x of magnitude near 1, or any NaN: all that the kernels ask for.
inline __m512 Scalef(__m512 x, __m512 n) {
  return Join(Scale8(Low(x), Low(n)), Scale8(High(x), High(n)));
}

inline __m512 RoundToEven(__m512 v) {
  return Join(_mm256_round_ps(Low(v), 8), _mm256_round_ps(High(v), 8));
}
inline __m512 WidenHalves(__m256i v) {
  return Join(_mm256_cvtph_ps(_mm256_castsi256_si128(v)),
              _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1)));
}
inline __m256i NarrowToHalves(__m512 v) {
  return _mm256_set_m128i(_mm256_cvtps_ph(High(v), 8), _mm256_cvtps_ph(Low(v), 8));
}

inline simde__m512 Cvtepi32Ps(simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  simde__m512_private to;
  for (int i = 0; i < 16; ++i) to.f32[i] = static_cast<float>(from.i32[i]);
  return simde__m512_from_private(to);
}

inline simde__m512i SraiEpi32(simde__m512i a, int bits) {
  simde__m512i_private v = simde__m512i_to_private(a);
  for (int i = 0; i < 16; ++i) v.i32[i] = v.i32[i] >> bits;
  return simde__m512i_from_private(v);
}

inline simde__m512i Cvtepu16Epi32(__m256i a) {
  simde__m512i_private v;
  v.m256i[0] = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a));
  v.m256i[1] = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1));
  return simde__m512i_from_private(v);
}

inline simde__m512i Cvtps2Epi32(__m512 v) {
  simde__m512i_private to;
  to.m256i[0] = _mm256_cvtps_epi32(Low(v));
  to.m256i[1] = _mm256_cvtps_epi32(High(v));
  return simde__m512i_from_private(to);
}

inline simde__m512d WidenFloats(__m256 v) {
  simde__m512d_private to;
  to.m256d[0] = _mm256_cvtps_pd(_mm256_castps256_ps128(v));
  to.m256d[1] = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
  return simde__m512d_from_private(to);
}
inline __m256 NarrowDoubles(simde__m512d v) {
  const simde__m512d_private from = simde__m512d_to_private(v);
  return _mm256_set_m128(_mm256_cvtpd_ps(from.m256d[1]), _mm256_cvtpd_ps(from.m256d[0]));
}

}  // namespace simde_missing
}  // namespace
}  // namespace tatara::numerics

#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_srai_epi32
#undef _mm512_cvtepu16_epi32
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_scalef_ps
#undef _mm512_roundscale_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_extractf32x8_ps
#define _mm512_maskz_loadu_ps(mask, p) tatara::numerics::simde_missing::MaskLoad(mask, p)
#define _mm512_mask_storeu_ps(p, mask, v) tatara::numerics::simde_missing::MaskStore(p, mask, v)
#define _mm512_scalef_ps(x, n) tatara::numerics::simde_missing::Scalef(x, n)
#define _mm512_roundscale_ps(v, mode) tatara::numerics::simde_missing::RoundToEven(v)
#define _mm512_cvtph_ps(v) tatara::numerics::simde_missing::WidenHalves(v)
#define _mm512_cvtps_ph(v, mode) tatara::numerics::simde_missing::NarrowToHalves(v)
#define _mm512_extractf32x8_ps(v, half) \
  ((half) == 0 ? tatara::numerics::simde_missing::Low(v) : tatara::numerics::simde_missing::High(v))
#define _mm512_cvtepi32_ps(v) tatara::numerics::simde_missing::Cvtepi32Ps(v)
#define _mm512_srai_epi32(v, bits) tatara::numerics::simde_missing::SraiEpi32(v, bits)
#define _mm512_cvtepu16_epi32(v) tatara::numerics::simde_missing::Cvtepu16Epi32(v)
#undef _mm512_cvtps_pd
#undef _mm512_cvtpd_ps
#define _mm512_cvtps_pd(v) tatara::numerics::simde_missing::WidenFloats(v)
#define _mm512_cvtpd_ps(v) tatara::numerics::simde_missing::NarrowDoubles(v)
#define _mm512_cvtps_epi32(v) tatara::numerics::simde_missing::Cvtps2Epi32(v)
