// Sixteen f32 lanes as one AVX-512 register: the operations that the shared kernels (vector_*.h)
// are written in. Every function has internal linkage.
#pragma once

#include <cstdint>

#include "simd_avx512.h"

namespace tatara::numerics {
namespace {

struct Lanes {
  __m512 v;
};
using Mask = __mmask16;

// One register tile of a product (vector_panel.h): 12 rows x 2 vectors of 16 are 24 accumulators, 2
// vectors of the matrix and 1 broadcast value: 27 of 32 registers, three times what covers a
// multiply-add's latency.
constexpr int kTileRows = 12;
constexpr int kTileVectors = 2;
constexpr int kCopyLanes = 16;  // of panel_copy.h

inline Lanes Broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline Lanes Zero() {
  return {_mm512_setzero_ps()};
}
inline Lanes Load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void Store(float* p, Lanes v) {
  _mm512_storeu_ps(p, v.v);
}

// Lanes first .. end - 1, for 0 <= first, end <= 16.
inline Mask LanesBetween(int first, int end) {
  return static_cast<Mask>(((1U << end) - 1) & ~((1U << first) - 1));
}
// Lanes outside the mask are not read and are +0.
inline Lanes LoadMasked(const float* p, Mask m) {
  return {_mm512_maskz_loadu_ps(m, p)};
}
inline void StoreMasked(float* p, Mask m, Lanes v) {
  _mm512_mask_storeu_ps(p, m, v.v);
}
inline Lanes Select(Mask m, Lanes yes, Lanes no) {
  return {_mm512_mask_blend_ps(m, no.v, yes.v)};
}
inline Mask LessThan(Lanes a, Lanes b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ);
}
inline Mask Equal(Lanes a, Lanes b) {
  return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ);
}
inline Mask IsNaN(Lanes a) {
  return _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
}
inline Mask Or(Mask a, Mask b) {
  return static_cast<Mask>(a | b);
}
inline Mask And(Mask a, Mask b) {
  return static_cast<Mask>(a & b);
}
inline Mask NoLanes() {
  return 0;
}
// Bit i: lane i.
inline unsigned Bits(Mask m) {
  return m;
}

inline Lanes Add(Lanes a, Lanes b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Lanes Sub(Lanes a, Lanes b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Lanes Mul(Lanes a, Lanes b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Lanes Div(Lanes a, Lanes b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Lanes Sqrt(Lanes a) {
  return {_mm512_sqrt_ps(a.v)};
}
inline Lanes Fma(Lanes a, Lanes b, Lanes c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// b > a ? b : a, and a where either is NaN.
inline Lanes Larger(Lanes a, Lanes b) {
  return {_mm512_max_ps(b.v, a.v)};
}
// b < a ? b : a, and a where either is NaN.
inline Lanes Smaller(Lanes a, Lanes b) {
  return {_mm512_min_ps(b.v, a.v)};
}
inline Lanes Negate(Lanes a) {
  return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0F))};
}
inline Lanes Abs(Lanes a) {
  return {_mm512_abs_ps(a.v)};
}
// The magnitude of a non-negative a with the sign of b.
inline Lanes WithSignOf(Lanes a, Lanes b) {
  return {_mm512_or_ps(a.v, _mm512_and_ps(_mm512_set1_ps(-0.0F), b.v))};
}
inline Lanes RoundToEven(Lanes a) {
  return {_mm512_roundscale_ps(a.v, 8)};
}
// a * 2^n rounded once, for whole |n| <= 252 and a near 1; NaN stays.
inline Lanes TimesPowerOfTwo(Lanes a, Lanes n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}

// Rule 4's tree: +8, +4, +2, +1.
inline float TreeSum(Lanes v) {
  const __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
  const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
  const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
  return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}
// The same tree of Larger.
inline float TreeLarger(Lanes v) {
  const __m256 by8 = _mm256_max_ps(_mm512_extractf32x8_ps(v.v, 1), _mm512_castps512_ps256(v.v));
  const __m128 by4 = _mm_max_ps(_mm256_extractf128_ps(by8, 1), _mm256_castps256_ps128(by8));
  const __m128 by2 = _mm_max_ps(_mm_movehl_ps(by4, by4), by4);
  return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(by2), by2));
}

// p[0], p[0], p[1], p[1] ... p[7], p[7].
inline Lanes LoadTwice(const float* p) {
  const __m512i index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return {_mm512_permutexvar_ps(index, _mm512_castps256_ps512(_mm256_loadu_ps(p)))};
}
// v[0], v[0], v[2], v[2] ... and v[1], v[1], v[3], v[3] ...
inline Lanes EvenTwice(Lanes v) {
  const __m512i index = _mm512_setr_epi32(0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14);
  return {_mm512_permutexvar_ps(index, v.v)};
}
inline Lanes OddTwice(Lanes v) {
  const __m512i index = _mm512_setr_epi32(1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15);
  return {_mm512_permutexvar_ps(index, v.v)};
}
// Even lanes of a, odd lanes of b.
inline Lanes EvenOdd(Lanes a, Lanes b) {
  return {_mm512_mask_blend_ps(0xaaaa, a.v, b.v)};
}

inline Lanes LoadHalves(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void StoreHalves(std::uint16_t* p, Lanes v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v.v, 0));
}

// ---- bf16 is the upper half of an f32

// Nearest, ties to even; NaN stays, quiet. The lower half of the bits is 0.
inline Lanes NearestBF16(Lanes a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i near = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i kept = _mm512_mask_blend_epi32(IsNaN(a), near, quiet);
  return {_mm512_castsi512_ps(_mm512_and_si512(kept, _mm512_set1_epi32(-0x10000)))};
}
inline Lanes QuietNaN(Lanes a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  return {_mm512_castsi512_ps(
      _mm512_mask_blend_epi32(IsNaN(a), bits, _mm512_or_si512(bits, _mm512_set1_epi32(0x400000))))};
}
inline void StoreUpperHalves(std::uint16_t* p, Lanes v) {
  const __m512i bits = _mm512_srli_epi32(_mm512_castps_si512(v.v), 16);
  const __m256i packed =
      _mm256_packus_epi32(_mm512_castsi512_si256(bits), _mm512_extracti64x4_epi64(bits, 1));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline Lanes LoadUpperHalves(const std::uint16_t* p) {
  const auto half = [p](int at) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + at));
    return _mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
  };
  return {_mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(8), 1))};
}

struct Words {
  __m512i v;
};
struct WordProducts {
  Words low, high;
};
inline Words BroadcastWord(std::uint32_t x) {
  return {_mm512_set1_epi32(static_cast<int>(x))};
}
// x, x + 1, ... x + 15.
inline Words WordsFrom(std::uint32_t x) {
  return {_mm512_add_epi32(
      BroadcastWord(x).v, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))};
}
inline Words LoadWords(const std::uint32_t* p) {
  return {_mm512_loadu_si512(p)};
}
inline void StoreWords(std::uint32_t* p, Words a) {
  _mm512_storeu_si512(p, a.v);
}
inline Words XorWords(Words a, Words b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
inline WordProducts MultiplyWords(Words a, std::uint32_t by) {
  const __m512i m = BroadcastWord(by).v;
  const __m512i even = _mm512_mul_epu32(a.v, m);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), m);
  return {{_mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32))},
          {_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd)}};
}
// The bits of a plus half a word; NaN stays, quiet.
inline Lanes PlusHalves(Lanes a, __m512i halves) {
  const __m512i bits = _mm512_castps_si512(a.v);
  return {_mm512_castsi512_ps(
      _mm512_mask_blend_epi32(IsNaN(a), _mm512_add_epi32(bits, halves),
                              _mm512_or_si512(bits, _mm512_set1_epi32(0x400000))))};
}
inline Lanes PlusLowerHalves(Lanes a, Words words) {
  return PlusHalves(a, _mm512_and_si512(words.v, _mm512_set1_epi32(0xffff)));
}
inline Lanes PlusUpperHalves(Lanes a, Words words) {
  return PlusHalves(a, _mm512_srli_epi32(words.v, 16));
}
// Four words of each of 16 lanes, 16 apart, lane after lane: 128 halves.
inline void StoreInTurn(std::uint16_t* out, const std::uint32_t* words) {
  const auto row = [words](int w) { return _mm512_loadu_si512(words + 16 * w); };
  const __m512i low0 = _mm512_unpacklo_epi32(row(0), row(1));
  const __m512i high0 = _mm512_unpackhi_epi32(row(0), row(1));
  const __m512i low1 = _mm512_unpacklo_epi32(row(2), row(3));
  const __m512i high1 = _mm512_unpackhi_epi32(row(2), row(3));
  // Of four lanes each, 4 apart.
  const __m512i a = _mm512_unpacklo_epi64(low0, low1), b = _mm512_unpackhi_epi64(low0, low1);
  const __m512i c = _mm512_unpacklo_epi64(high0, high1), d = _mm512_unpackhi_epi64(high0, high1);
  const __m512i ab0 = _mm512_shuffle_i32x4(a, b, 0x44), ab1 = _mm512_shuffle_i32x4(a, b, 0xee);
  const __m512i cd0 = _mm512_shuffle_i32x4(c, d, 0x44), cd1 = _mm512_shuffle_i32x4(c, d, 0xee);
  _mm512_storeu_si512(out, _mm512_shuffle_i32x4(ab0, cd0, 0x88));
  _mm512_storeu_si512(out + 32, _mm512_shuffle_i32x4(ab0, cd0, 0xdd));
  _mm512_storeu_si512(out + 64, _mm512_shuffle_i32x4(ab1, cd1, 0x88));
  _mm512_storeu_si512(out + 96, _mm512_shuffle_i32x4(ab1, cd1, 0xdd));
}
// v where the number is at least the threshold, else +0.
inline Lanes FromNumber(std::uint32_t threshold, const std::uint16_t* numbers, Lanes v) {
  const __m512i drawn =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers)));
  return {_mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(drawn, BroadcastWord(threshold).v), v.v)};
}

}  // namespace
}  // namespace tatara::numerics
