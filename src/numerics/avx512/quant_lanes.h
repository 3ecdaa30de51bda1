// What the quantised kernels (vector_product.h, vector_unpack.h) need of AVX-512: sixteen 32-bit
// lanes, a lane a row, in one register; the integer dot of four bytes a lane by VNNI. Every
// function has internal linkage.
#pragma once

#include <cstdint>

#include "quant_kernels.h"
#include "simd_avx512.h"
#include "vector_common.h"

namespace tatara::numerics {
namespace {

using Ints = __m512i;        // 16 x int32 or 64 x uint8
using Floats = __m512;       // 16 x f32
using Dots = __m512i;        // 16 running dots, int32
using ScaleLanes = __m512i;  // 16 scales of a sub-block, int32

// Tiles of 3 x 16 rows times 4 tokens: 12 running dots and 12 integer sums leave 8 registers for
// weights, activations and masks; 12 independent chains cover the 2 x 4 cycles of VPDPBUSD. With
// one group a tile would load an activation for each VPDPBUSD, and Zen 5 starts two of either a
// cycle.
constexpr int kRowGroups = 3;
constexpr bool kNarrowDots = false;
constexpr bool kKeepAccumulators = true;

TATARA_INLINE Ints LoadLine(const std::uint8_t* p) {
  return _mm512_loadu_si512(p);
}
TATARA_INLINE Ints ZeroInts() {
  return _mm512_setzero_si512();
}
TATARA_INLINE Ints AddInts(Ints a, Ints b) {
  return _mm512_add_epi32(a, b);
}
TATARA_INLINE Ints AndWord(Ints a, std::int32_t word) {
  return _mm512_and_si512(a, _mm512_set1_epi32(word));
}
TATARA_INLINE Ints SubtractWord(Ints a, std::int32_t word) {
  return _mm512_sub_epi32(a, _mm512_set1_epi32(word));
}
template <int kBits>
TATARA_INLINE Ints ShiftRight(Ints a) {  // of the 32-bit lanes; to the left where negative
  if constexpr (kBits > 0) return _mm512_srli_epi32(a, kBits);
  if constexpr (kBits < 0) return _mm512_slli_epi32(a, -kBits);
  return a;
}
// a | (b & word)
TATARA_INLINE Ints OrMasked(Ints a, Ints b, std::int32_t word) {
  return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi32(word), 0xf8);
}
// Byte kByte of each lane, widened.
template <int kByte>
TATARA_INLINE Ints ByteOfLane(Ints a) {
  if constexpr (kByte == 3) return _mm512_srli_epi32(a, 24);
  return _mm512_and_si512(ShiftRight<8 * kByte>(a), _mm512_set1_epi32(255));
}
template <int kByte>
TATARA_INLINE Ints SignedByteOfLane(Ints a) {
  return _mm512_srai_epi32(ShiftRight<8 * kByte - 24>(a), 24);
}

TATARA_INLINE Floats ToFloats(Ints a) {
  return _mm512_cvtepi32_ps(a);
}
TATARA_INLINE Floats BroadcastFloat(const float* p) {
  return _mm512_set1_ps(*p);
}
TATARA_INLINE Floats LoadFloats(const float* p) {
  return _mm512_loadu_ps(p);
}
TATARA_INLINE void StoreFloats(float* p, Floats v) {
  _mm512_storeu_ps(p, v);
}
TATARA_INLINE Floats Multiply(Floats a, Floats b) {
  return _mm512_mul_ps(a, b);
}
TATARA_INLINE Floats Plus(Floats a, Floats b) {
  return _mm512_add_ps(a, b);
}
TATARA_INLINE Floats Minus(Floats a, Floats b) {
  return _mm512_sub_ps(a, b);
}
TATARA_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
TATARA_INLINE Floats NegatedMultiplyAdd(Floats a, Floats b, Floats c) {  // -(a b) + c, rounded once
  return _mm512_fnmadd_ps(a, b, c);
}
TATARA_INLINE Floats LoadHalves(const std::uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
TATARA_INLINE Floats LoadBfloats(const std::uint8_t* p) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

TATARA_INLINE Dots StartDots() {
  return _mm512_setzero_si512();
}
TATARA_INLINE Dots StartDots(const std::int32_t* sum) {
  return _mm512_set1_epi32(*sum);
}

using Splat = __m512i;  // four activations in every lane
TATARA_INLINE Splat SplatStep(const std::int8_t* a) {
  return _mm512_set1_epi32(LoadWord(a));
}

// dots += u8 weights of four values a lane times four int8 activations.
TATARA_INLINE void AddDots(Dots& dots, Ints w, Splat a) {
  dots = _mm512_dpbusd_epi32(dots, w, a);
}
TATARA_INLINE Ints DotsToInts(Dots dots) {
  return dots;
}
TATARA_INLINE Ints SixteenSums(const std::int32_t*) {
  return ZeroInts();
}  // of narrow dots only
TATARA_INLINE Ints ScaledDots(Dots dots, ScaleLanes scales) {
  return _mm512_mullo_epi32(dots, scales);
}

// Scales for ScaledDots: byte kByte of each lane, unsigned or signed.
template <int kByte>
TATARA_INLINE ScaleLanes ScaleOfByte(Ints a) {
  return ByteOfLane<kByte>(a);
}
template <int kByte>
TATARA_INLINE ScaleLanes ScaleOfSignedByte(Ints a) {
  return SignedByteOfLane<kByte>(a);
}
// sum += the two int16 of each lane times the two at `pair`.
TATARA_INLINE void AddPairs(Ints& sum, Ints w, const std::int32_t* pair) {
  sum = _mm512_dpwssd_epi32(sum, w, _mm512_set1_epi32(*pair));
}

// The starting sums of the prepared activations. `halves`: for four tokens the pairs (sum of values
// 0 and 1 mod 4, sum of values 2 and 3 mod 4) of some values; here the lanes need the whole sum.
TATARA_INLINE __m128i WholeSums(__m128i halves) {
  return _mm_madd_epi16(halves, _mm_set1_epi16(1));
}
template <int kShift>
TATARA_INLINE __m128i StartWords(__m128i halves) {  // -(sum << kShift)
  return _mm_sub_epi32(_mm_setzero_si128(), _mm_slli_epi32(WholeSums(halves), kShift));
}

// Running maxima and rounding as in avx2/quant_lanes.h, sixteen values at a time.
TATARA_INLINE __m128i LargestMagnitudes(const float* x, int block) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i largest = _mm512_setzero_si512();
  for (int k = 0; k < block; k += 32) {
    const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x + k), magnitude);
    const __m512i b = _mm512_and_si512(_mm512_loadu_si512(x + k + 16), magnitude);
    largest = _mm512_max_epi32(largest, _mm512_max_epi32(a, b));
  }
  const __m256i half =
      _mm256_max_epi32(_mm512_castsi512_si256(largest), _mm512_extracti64x4_epi64(largest, 1));
  return _mm_max_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

TATARA_INLINE __m128i Round16(const float* x, const float* inverse, const std::int32_t* keep) {
  const __m512i rounded =
      _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(*inverse)));
  return _mm_and_si128(_mm512_cvtsepi32_epi8(rounded), _mm_set1_epi32(*keep));
}

}  // namespace
}  // namespace tatara::numerics
