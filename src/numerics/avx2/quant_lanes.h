// What the quantised kernels (vector_product.h, vector_unpack.h) need of AVX2: sixteen 32-bit
// lanes, a lane a row, as two registers, rows 0 to 7 in `lo`. Without VNNI the dots of nibble types
// run in 16 bits: VPMADDUBSW adds two products of unsigned weights and int8, at most 2 * 63 * 127;
// over the 16 values that meet in a half lane (Q6_K: 8) the sum, taken with the type's offset, fits
// (Q4_1 and Q4_K: 16 * 15 * 127 = 30,480; Q4_0: 16 * 8 * 127; five bits at offset 16: 16 * 16 * 127
// = 32,512; Q6_K: 8 * 32 * 127 = 32,512), so adding modulo 2^16 ends exact. The widening
// multiplication by the sub-block's scale costs as much as one by ones. Every function has internal
// linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "quant_kernels.h"
#include "vector_common.h"

namespace tatara::numerics {
namespace {

struct Ints {
  __m256i lo, hi;  // 16 x int32, 32 x int16 or 64 x uint8
};
struct Floats {
  __m256 lo, hi;
};
using Dots = Ints;        // for each lane two running dots of int16: values 0, 1 and 2, 3 mod 4
using ScaleLanes = Ints;  // for each lane the sub-block's scale twice, int16

// Tiles of 16 rows times 4 tokens: 8 registers of running dots, 4 of weights and activations,
// masks.
constexpr int kRowGroups = 1;
constexpr bool kNarrowDots = true;
constexpr bool kKeepAccumulators = false;

TATARA_INLINE __m256i LoadHalf(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
TATARA_INLINE Ints LoadLine(const std::uint8_t* p) {
  return {LoadHalf(p), LoadHalf(p + 32)};
}
TATARA_INLINE Ints SplatWord(std::int32_t word) {
  const __m256i v = _mm256_set1_epi32(word);
  return {v, v};
}
TATARA_INLINE Ints ZeroInts() {
  return SplatWord(0);
}
TATARA_INLINE Ints AddInts(Ints a, Ints b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
TATARA_INLINE Ints AndWord(Ints a, std::int32_t word) {
  const __m256i v = _mm256_set1_epi32(word);
  return {_mm256_and_si256(a.lo, v), _mm256_and_si256(a.hi, v)};
}
TATARA_INLINE Ints SubtractWord(Ints a, std::int32_t word) {
  const __m256i v = _mm256_set1_epi32(word);
  return {_mm256_sub_epi32(a.lo, v), _mm256_sub_epi32(a.hi, v)};
}
template <int kBits>
TATARA_INLINE Ints ShiftRight(Ints a) {  // of the 32-bit lanes; to the left where negative
  if constexpr (kBits > 0) return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
  if constexpr (kBits < 0) {
    return {_mm256_slli_epi32(a.lo, -kBits), _mm256_slli_epi32(a.hi, -kBits)};
  }
  return a;
}
// a | (b & word)
TATARA_INLINE Ints OrMasked(Ints a, Ints b, std::int32_t word) {
  b = AndWord(b, word);
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
// Byte kByte of each lane, widened.
template <int kByte>
TATARA_INLINE Ints ByteOfLane(Ints a) {
  if constexpr (kByte == 3) return ShiftRight<24>(a);
  return AndWord(ShiftRight<8 * kByte>(a), 255);
}
template <int kByte>
TATARA_INLINE Ints SignedByteOfLane(Ints a) {
  a = ShiftRight<8 * kByte - 24>(a);
  return {_mm256_srai_epi32(a.lo, 24), _mm256_srai_epi32(a.hi, 24)};
}

TATARA_INLINE Floats ToFloats(Ints a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
TATARA_INLINE Floats BroadcastFloat(const float* p) {
  const __m256 v = _mm256_broadcast_ss(p);
  return {v, v};
}
TATARA_INLINE Floats LoadFloats(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
TATARA_INLINE void StoreFloats(float* p, Floats v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
TATARA_INLINE Floats Multiply(Floats a, Floats b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
TATARA_INLINE Floats Plus(Floats a, Floats b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
TATARA_INLINE Floats Minus(Floats a, Floats b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
TATARA_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
TATARA_INLINE Floats NegatedMultiplyAdd(Floats a, Floats b, Floats c) {  // -(a b) + c, rounded once
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
TATARA_INLINE Floats LoadHalves(const std::uint8_t* p) {
  const auto* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
TATARA_INLINE Floats LoadBfloats(const std::uint8_t* p) {
  const auto* values = reinterpret_cast<const __m128i*>(p);
  const __m256i lo = _mm256_cvtepu16_epi32(_mm_loadu_si128(values));
  const __m256i hi = _mm256_cvtepu16_epi32(_mm_loadu_si128(values + 1));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
}

TATARA_INLINE Dots StartDots() {
  return ZeroInts();
}
TATARA_INLINE Dots StartDots(const std::int32_t* halves) {
  return SplatWord(*halves);
}

// The empty instruction holds the running dots in their registers: GCC 12 would else regroup the
// adds of several steps and spill them.
TATARA_INLINE void Keep(Ints& v) {
  asm("" : "+x"(v.lo), "+x"(v.hi));
}

using Splat = __m256i;  // four activations in every lane
TATARA_INLINE Splat SplatStep(const std::int8_t* a) {
  return _mm256_set1_epi32(LoadWord(a));
}

// dots += u8 weights of four values a lane times four int8 activations.
TATARA_INLINE void AddDots(Dots& dots, Ints w, Splat a) {
  dots.lo = _mm256_add_epi16(dots.lo, _mm256_maddubs_epi16(w.lo, a));
  dots.hi = _mm256_add_epi16(dots.hi, _mm256_maddubs_epi16(w.hi, a));
  Keep(dots);
}
TATARA_INLINE Ints AddHalves(Ints a, Ints scales) {
  return {_mm256_madd_epi16(a.lo, scales.lo), _mm256_madd_epi16(a.hi, scales.hi)};
}
TATARA_INLINE Ints DotsToInts(Dots dots) {
  return AddHalves(dots, SplatWord(0x00010001));
}
TATARA_INLINE Ints ScaledDots(Dots dots, ScaleLanes scales) {
  return AddHalves(dots, scales);
}
// 16 sum(a), from the prepared -128 sum(a).
TATARA_INLINE Ints SixteenSums(const std::int32_t* minus_128) {
  return SplatWord(-(*minus_128 >> 3));
}

// Scales for ScaledDots: byte kByte of each lane, unsigned or signed.
template <int kByte>
TATARA_INLINE ScaleLanes ScaleOfByte(Ints a) {
  const Ints scale = ByteOfLane<kByte>(a);
  return OrMasked(scale, ShiftRight<-16>(scale), -1);
}
template <int kByte>
TATARA_INLINE ScaleLanes ScaleOfSignedByte(Ints a) {
  const Ints scale = SignedByteOfLane<kByte>(a);
  return OrMasked(ShiftRight<-16>(scale), scale, 0xffff);
}

// sum += the two int16 of each lane times the two at `pair`.
TATARA_INLINE void AddPairs(Ints& sum, Ints w, const std::int32_t* pair) {
  sum = AddInts(sum, AddHalves(w, SplatWord(*pair)));
}

// The starting sums of the prepared activations. `halves`: for four tokens the pairs (sum of values
// 0 and 1 mod 4, sum of values 2 and 3 mod 4) of some values: what the dots begin with, times a
// shift.
TATARA_INLINE __m128i WholeSums(__m128i halves) {
  return _mm_madd_epi16(halves, _mm_set1_epi16(1));
}
template <int kShift>
TATARA_INLINE __m128i StartWords(__m128i halves) {  // -(sum << kShift), modulo 2^16
  return _mm_sub_epi16(_mm_setzero_si128(), _mm_slli_epi16(halves, kShift));
}

// Four running maxima of the magnitudes of a token's block, as integers: these order infinities and
// NaN above all numbers.
TATARA_INLINE __m128i LargestMagnitudes(const float* x, int block) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (int k = 0; k < block; k += 32) {
    Unroll<4>([&](auto i) TATARA_LAMBDA {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k + 8 * i));
      largest[i % 2] = _mm256_max_epi32(largest[i % 2], _mm256_and_si256(bits, magnitude));
    });
  }
  const __m256i both = _mm256_max_epi32(largest[0], largest[1]);
  return _mm_max_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
}

// 16 values as int8. No clamp is needed: 127 / absmax and the product are within 2^-23 of exact, so
// no value passes 127.00004 before rounding.
TATARA_INLINE __m128i Round16(const float* x, const float* inverse, const std::int32_t* keep) {
  const __m256 factor = _mm256_broadcast_ss(inverse);
  const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));
  const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), factor));
  const __m256i shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(shorts), _mm256_extracti128_si256(shorts, 1));
  return _mm_and_si128(bytes, _mm_set1_epi32(*keep));
}

}  // namespace
}  // namespace tatara::numerics
