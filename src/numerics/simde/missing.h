// AVX-512 intrinsics that the kernels use and SIMDe 0.7.4 lacks, lane by lane.
#pragma once

namespace tatara::numerics {
namespace {

inline simde__m512 SimdeCvtepi32Ps(simde__m512i a) {
  const simde__m512i_private from = simde__m512i_to_private(a);
  simde__m512_private to;
  for (int i = 0; i < 16; ++i) to.f32[i] = static_cast<float>(from.i32[i]);
  return simde__m512_from_private(to);
}

inline simde__m512i SimdeSraiEpi32(simde__m512i a, int bits) {
  simde__m512i_private v = simde__m512i_to_private(a);
  for (int i = 0; i < 16; ++i) v.i32[i] = v.i32[i] >> bits;
  return simde__m512i_from_private(v);
}

inline simde__m512i SimdeCvtepu16Epi32(__m256i a) {
  simde__m512i_private v;
  v.m256i[0] = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a));
  v.m256i[1] = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1));
  return simde__m512i_from_private(v);
}

inline simde__m512 SimdeCvtphPs(__m256i a) {
  simde__m512_private v;
  v.m256[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
  v.m256[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));
  return simde__m512_from_private(v);
}

}  // namespace
}  // namespace tatara::numerics

#define _mm512_cvtepi32_ps tatara::numerics::SimdeCvtepi32Ps
#define _mm512_srai_epi32 tatara::numerics::SimdeSraiEpi32
#define _mm512_cvtepu16_epi32 tatara::numerics::SimdeCvtepu16Epi32
#define _mm512_cvtph_ps tatara::numerics::SimdeCvtphPs
