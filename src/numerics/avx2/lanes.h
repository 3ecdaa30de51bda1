// Sixteen f32 lanes as two AVX2 registers, lanes 0 to 7 in `lo`: the operations that the shared
// kernels (vector_*.h) are written in. Every function has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tatara::numerics {
namespace {

struct Lanes {
  __m256 lo, hi;
};
struct Mask {  // all bits of a lane set or clear
  __m256 lo, hi;
};

// One register tile of a product (vector_panel.h): 6 rows x 1 vector of 16 are 12 accumulators, 2
// vectors of the matrix and 1 broadcast value: 15 of 16 registers.
constexpr int kTileRows = 6;
constexpr int kTileVectors = 1;
constexpr int kCopyLanes = 8;  // of panel_copy.h

inline Lanes Broadcast(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline Lanes Zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Lanes Load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void Store(float* p, Lanes v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}

// Lanes first .. end - 1, for 0 <= first, end <= 16.
inline Mask LanesBetween(int first, int end) {
  const __m256i lo = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i hi = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i below = _mm256_set1_epi32(first), limit = _mm256_set1_epi32(end);
  const auto inside = [&](__m256i lane) {
    return _mm256_castsi256_ps(
        _mm256_andnot_si256(_mm256_cmpgt_epi32(below, lane), _mm256_cmpgt_epi32(limit, lane)));
  };
  return {inside(lo), inside(hi)};
}
// Lanes outside the mask are not read and are +0.
inline Lanes LoadMasked(const float* p, Mask m) {
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.lo)),
          _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.hi))};
}
inline void StoreMasked(float* p, Mask m, Lanes v) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), v.lo);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), v.hi);
}
inline Lanes Select(Mask m, Lanes yes, Lanes no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi)};
}
inline Mask LessThan(Lanes a, Lanes b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
inline Mask Equal(Lanes a, Lanes b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ)};
}
inline Mask IsNaN(Lanes a) {
  return {_mm256_cmp_ps(a.lo, a.lo, _CMP_UNORD_Q), _mm256_cmp_ps(a.hi, a.hi, _CMP_UNORD_Q)};
}
inline Mask Or(Mask a, Mask b) {
  return {_mm256_or_ps(a.lo, b.lo), _mm256_or_ps(a.hi, b.hi)};
}
inline Mask And(Mask a, Mask b) {
  return {_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)};
}
inline Mask NoLanes() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
// Bit i: lane i.
inline unsigned Bits(Mask m) {
  return static_cast<unsigned>(_mm256_movemask_ps(m.lo)) |
         static_cast<unsigned>(_mm256_movemask_ps(m.hi)) << 8;
}

inline Lanes Add(Lanes a, Lanes b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Lanes Sub(Lanes a, Lanes b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Lanes Mul(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Lanes Div(Lanes a, Lanes b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Lanes Sqrt(Lanes a) {
  return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)};
}
inline Lanes Fma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
// b > a ? b : a, and a where either is NaN.
inline Lanes Larger(Lanes a, Lanes b) {
  return {_mm256_max_ps(b.lo, a.lo), _mm256_max_ps(b.hi, a.hi)};
}
// b < a ? b : a, and a where either is NaN.
inline Lanes Smaller(Lanes a, Lanes b) {
  return {_mm256_min_ps(b.lo, a.lo), _mm256_min_ps(b.hi, a.hi)};
}
inline Lanes Negate(Lanes a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}
inline Lanes Abs(Lanes a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
// The magnitude of a non-negative a with the sign of b.
inline Lanes WithSignOf(Lanes a, Lanes b) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_or_ps(a.lo, _mm256_and_ps(sign, b.lo)),
          _mm256_or_ps(a.hi, _mm256_and_ps(sign, b.hi))};
}
inline Lanes RoundToEven(Lanes a) {
  return {_mm256_round_ps(a.lo, 8), _mm256_round_ps(a.hi, 8)};
}

inline __m256 TimesPowerOfTwo(__m256 a, __m256 n) {
  const __m256i exponent = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
// a * 2^n rounded once, for whole |n| <= 252 and a near 1 (the first factor loses nothing); NaN
// stays.
inline Lanes TimesPowerOfTwo(Lanes a, Lanes n) {
  return {TimesPowerOfTwo(a.lo, n.lo), TimesPowerOfTwo(a.hi, n.hi)};
}

// Rule 4's tree: +8, +4, +2, +1.
inline float TreeSum(Lanes v) {
  const __m256 by8 = _mm256_add_ps(v.lo, v.hi);
  const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
  const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
  return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}
// The same tree of Larger.
inline float TreeLarger(Lanes v) {
  const __m256 by8 = _mm256_max_ps(v.hi, v.lo);
  const __m128 by4 = _mm_max_ps(_mm256_extractf128_ps(by8, 1), _mm256_castps256_ps128(by8));
  const __m128 by2 = _mm_max_ps(_mm_movehl_ps(by4, by4), by4);
  return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(by2), by2));
}

// p[0], p[0], p[1], p[1] ... p[7], p[7].
inline Lanes LoadTwice(const float* p) {
  const __m256 v = _mm256_loadu_ps(p);
  const __m256 low = _mm256_unpacklo_ps(v, v), high = _mm256_unpackhi_ps(v, v);
  return {_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)};
}
// v[0], v[0], v[2], v[2] ... and v[1], v[1], v[3], v[3] ...
inline Lanes EvenTwice(Lanes v) {
  return {_mm256_moveldup_ps(v.lo), _mm256_moveldup_ps(v.hi)};
}
inline Lanes OddTwice(Lanes v) {
  return {_mm256_movehdup_ps(v.lo), _mm256_movehdup_ps(v.hi)};
}
// Even lanes of a, odd lanes of b.
inline Lanes EvenOdd(Lanes a, Lanes b) {
  return {_mm256_blend_ps(a.lo, b.lo, 0xaa), _mm256_blend_ps(a.hi, b.hi, 0xaa)};
}

inline Lanes LoadHalves(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline void StoreHalves(std::uint16_t* p, Lanes v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.lo, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(v.hi, 0));
}

// ---- bf16 is the upper half of an f32

inline __m256 NearestBF16(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i near = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 kept = _mm256_blendv_ps(_mm256_castsi256_ps(near), _mm256_castsi256_ps(quiet),
                                       _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_and_ps(kept, _mm256_castsi256_ps(_mm256_set1_epi32(-0x10000)));
}
// Nearest, ties to even; NaN stays, quiet. The lower half of the bits is 0.
inline Lanes NearestBF16(Lanes a) {
  return {NearestBF16(a.lo), NearestBF16(a.hi)};
}
inline __m256 QuietNaN(__m256 a) {
  const __m256 quiet = _mm256_or_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
  return _mm256_blendv_ps(a, quiet, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
inline Lanes QuietNaN(Lanes a) {
  return {QuietNaN(a.lo), QuietNaN(a.hi)};
}
inline void StoreUpperHalves(std::uint16_t* p, Lanes v) {
  const auto upper = [](__m256 a) { return _mm256_srli_epi32(_mm256_castps_si256(a), 16); };
  const __m256i packed = _mm256_packus_epi32(upper(v.lo), upper(v.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline Lanes LoadUpperHalves(const std::uint16_t* p) {
  const auto half = [p](int at) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + at));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  };
  return {half(0), half(8)};
}

struct Words {
  __m256i lo, hi;
};
struct WordProducts {
  Words low, high;
};
inline Words BroadcastWord(std::uint32_t x) {
  const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
  return {v, v};
}
// x, x + 1, ... x + 15.
inline Words WordsFrom(std::uint32_t x) {
  const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
  return {_mm256_add_epi32(v, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          _mm256_add_epi32(v, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
inline Words LoadWords(const std::uint32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
inline void StoreWords(std::uint32_t* p, Words a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.hi);
}
inline Words XorWords(Words a, Words b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
inline WordProducts MultiplyWords(Words a, std::uint32_t by) {
  const __m256i m = _mm256_set1_epi32(static_cast<int>(by));
  WordProducts p;
  const auto multiply = [m](__m256i x, __m256i& low, __m256i& high) {
    const __m256i even = _mm256_mul_epu32(x, m);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), m);
    low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
  };
  multiply(a.lo, p.low.lo, p.high.lo);
  multiply(a.hi, p.low.hi, p.high.hi);
  return p;
}
// The bits of a plus half a word; NaN stays, quiet.
inline __m256 PlusHalves(__m256 a, __m256i halves) {
  const __m256i sum = _mm256_add_epi32(_mm256_castps_si256(a), halves);
  return _mm256_blendv_ps(_mm256_castsi256_ps(sum), QuietNaN(a), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
inline Lanes PlusLowerHalves(Lanes a, Words words) {
  const __m256i mask = _mm256_set1_epi32(0xffff);
  return {PlusHalves(a.lo, _mm256_and_si256(words.lo, mask)),
          PlusHalves(a.hi, _mm256_and_si256(words.hi, mask))};
}
inline Lanes PlusUpperHalves(Lanes a, Words words) {
  return {PlusHalves(a.lo, _mm256_srli_epi32(words.lo, 16)),
          PlusHalves(a.hi, _mm256_srli_epi32(words.hi, 16))};
}
// Four words of each of 16 lanes, 16 apart, lane after lane: 128 halves.
inline void StoreInTurn(std::uint16_t* out, const std::uint32_t* words) {
  for (int eight = 0; eight < 2; ++eight) {
    const auto row = [&](int w) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + 16 * w + 8 * eight));
    };
    const __m256i low0 = _mm256_unpacklo_epi32(row(0), row(1));
    const __m256i high0 = _mm256_unpackhi_epi32(row(0), row(1));
    const __m256i low1 = _mm256_unpacklo_epi32(row(2), row(3));
    const __m256i high1 = _mm256_unpackhi_epi32(row(2), row(3));
    // Of two lanes each, 4 apart.
    const __m256i a = _mm256_unpacklo_epi64(low0, low1), b = _mm256_unpackhi_epi64(low0, low1);
    const __m256i c = _mm256_unpacklo_epi64(high0, high1), d = _mm256_unpackhi_epi64(high0, high1);
    const auto store = [&](int at, __m256i v) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 64 * eight + 16 * at), v);
    };
    store(0, _mm256_permute2x128_si256(a, b, 0x20));
    store(1, _mm256_permute2x128_si256(c, d, 0x20));
    store(2, _mm256_permute2x128_si256(a, b, 0x31));
    store(3, _mm256_permute2x128_si256(c, d, 0x31));
  }
}
// v where the number is at least the threshold, else +0.
inline Lanes FromNumber(std::uint32_t threshold, const std::uint16_t* numbers, Lanes v) {
  const __m256i below = _mm256_set1_epi32(static_cast<int>(threshold) - 1);
  const auto kept = [&](const std::uint16_t* from, __m256 values) {
    const __m256i drawn =
        _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(drawn, below)), values);
  };
  return {kept(numbers, v.lo), kept(numbers + 8, v.hi)};
}

}  // namespace
}  // namespace tatara::numerics
