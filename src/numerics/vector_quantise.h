// Rule 3's rounding of activations, a group of up to four tokens at a time, and the sums that start
// or correct the integer dots. 128- and 256-bit code for AVX2 and AVX-512 alike; the instruction
// set's quant_lanes.h says what form the sums take (StartWords). The oracle is
// scalar/quant_kernels.cc.
//
// Tokens beyond the group's width are zeros in registers and are not stored.
#pragma once

#include <cstdint>

#include "quant_kernels.h"
#include "vector_common.h"
#include "vector_product.h"

namespace tatara::numerics {
namespace {

// v[t]: four words of token t. Becomes v[s]: word s of the four tokens.
TATARA_INLINE void TransposeWords(__m128i (&v)[4]) {
  const __m128i a = _mm_unpacklo_epi32(v[0], v[1]);
  const __m128i b = _mm_unpacklo_epi32(v[2], v[3]);
  const __m128i c = _mm_unpackhi_epi32(v[0], v[1]);
  const __m128i d = _mm_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm_unpacklo_epi64(a, b);
  v[1] = _mm_unpackhi_epi64(a, b);
  v[2] = _mm_unpacklo_epi64(c, d);
  v[3] = _mm_unpackhi_epi64(c, d);
}

// Of one block of each token.
struct GroupScales {
  __m128 d;
  alignas(16) float inverse[4];
  alignas(16) std::int32_t keep[4];  // all ones, or zero where the block's values become 0
};

template <int kWidth>
TATARA_INLINE GroupScales ScalesOfGroup(const QuantiseArgs& args, std::int64_t k, int block) {
  __m128i v[4];
  Unroll<4>([&](auto t) TATARA_LAMBDA {
    if constexpr (t.value < kWidth) v[t] = LargestMagnitudes(args.x + t * args.x_stride + k, block);
    if constexpr (t.value >= kWidth) v[t] = _mm_setzero_si128();
  });
  TransposeWords(v);
  const __m128i bits = _mm_max_epi32(_mm_max_epi32(v[0], v[1]), _mm_max_epi32(v[2], v[3]));
  const __m128 absmax = _mm_castsi128_ps(bits);
  const __m128 inverse = _mm_div_ps(_mm_set1_ps(127.0F), absmax);
  const __m128 not_finite = _mm_castsi128_ps(_mm_cmpgt_epi32(bits, _mm_set1_epi32(0x7f7fffff)));
  const __m128 overflow = _mm_cmpgt_ps(inverse, _mm_set1_ps(__FLT_MAX__));
  const __m128 zero = _mm_or_ps(not_finite, overflow);
  GroupScales scales;
  scales.d = _mm_andnot_ps(overflow, _mm_div_ps(absmax, _mm_set1_ps(127.0F)));
  scales.d = _mm_blendv_ps(scales.d, _mm_set1_ps(__builtin_nanf("")), not_finite);
  _mm_store_ps(scales.inverse, _mm_andnot_ps(zero, inverse));
  _mm_store_si128(reinterpret_cast<__m128i*>(scales.keep),
                  _mm_castps_si128(_mm_andnot_ps(zero, _mm_castsi128_ps(_mm_set1_epi32(-1)))));
  return scales;
}

// The first kWidth words.
template <int kWidth>
TATARA_INLINE void StoreWords(void* to, __m128i v) {
  if constexpr (kWidth == 4) {
    _mm_storeu_si128(static_cast<__m128i*>(to), v);
  } else {
    std::int32_t words[4];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(words), v);
    __builtin_memcpy(to, words, 4 * kWidth);
  }
}

// One step of the tokens as int16, each four in the order 0 2 1 3.
template <int kWidth>
TATARA_INLINE void StoreWide(std::int16_t* to, __m128i step) {
  const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  std::int16_t wide[16];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(wide),
                      _mm256_cvtepi8_epi16(_mm_shuffle_epi8(step, order)));
  __builtin_memcpy(to, wide, 8 * kWidth);
}

// Rounds 16 values of each token and stores them; returns the tokens' half sums: pairs of int16, of
// the values 0 and 1 mod 4 and of the values 2 and 3 mod 4.
template <int kWidth, bool kWide>
TATARA_INLINE __m128i RoundSteps(const QuantiseArgs& args, std::int64_t k,
                                 const GroupScales& scales) {
  __m128i v[4];
  Unroll<4>([&](auto t) TATARA_LAMBDA {
    if constexpr (t.value < kWidth) {
      v[t] = Round16(args.x + t * args.x_stride + k, scales.inverse + t, scales.keep + t);
    }
    if constexpr (t.value >= kWidth) v[t] = _mm_setzero_si128();
  });
  TransposeWords(v);
  __m128i halves = _mm_setzero_si128();
  Unroll<4>([&](auto s) TATARA_LAMBDA {
    StoreWords<kWidth>(args.q + (k + 4 * s) * kWidth, v[s]);
    if constexpr (kWide) StoreWide<kWidth>(args.wide + (k + 4 * s) * kWidth, v[s]);
    halves = _mm_add_epi16(halves, _mm_maddubs_epi16(_mm_set1_epi8(1), v[s]));
  });
  return halves;
}

template <int kWidth, bool kWide>
TATARA_INLINE void QuantiseBlocks32(const QuantiseArgs& args) {
  float* d = args.d;
  std::int32_t* sums = args.sums;
  for (std::int64_t k = 0; k < args.n_k; k += 32, d += kWidth, sums += kSumWords32 * kWidth) {
    const GroupScales scales = ScalesOfGroup<kWidth>(args, k, 32);
    StoreWords<kWidth>(d, _mm_castps_si128(scales.d));
    const __m128i halves = _mm_add_epi16(RoundSteps<kWidth, kWide>(args, k, scales),
                                         RoundSteps<kWidth, kWide>(args, k + 16, scales));
    const __m128i whole = WholeSums(halves);
    StoreWords<kWidth>(sums + kStart8 * kWidth, StartWords<3>(halves));
    StoreWords<kWidth>(sums + kStart16 * kWidth, StartWords<4>(halves));
    StoreWords<kWidth>(sums + kMinus128 * kWidth,
                       _mm_sub_epi32(_mm_setzero_si128(), _mm_slli_epi32(whole, 7)));
    StoreWords<kWidth>(sums + kFloatSum * kWidth, _mm_castps_si128(_mm_cvtepi32_ps(whole)));
  }
}

// int16 pairs (low, high) of two vectors of sums.
TATARA_INLINE __m128i PairWords(__m128i low, __m128i high) {
  return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi32(0xffff)), _mm_slli_epi32(high, 16));
}

template <int kWidth>
TATARA_INLINE void QuantiseBlocks256(const QuantiseArgs& args) {
  float* d = args.d;
  std::int32_t* sums = args.sums;
  for (std::int64_t k = 0; k < args.n_k; k += 256, d += kWidth, sums += kSumWords256 * kWidth) {
    const GroupScales scales = ScalesOfGroup<kWidth>(args, k, 256);
    StoreWords<kWidth>(d, _mm_castps_si128(scales.d));
    __m128i whole[8];
    for (int j = 0; j < 8; ++j) {
      const __m128i first = RoundSteps<kWidth, false>(args, k + 32 * j, scales);
      const __m128i second = RoundSteps<kWidth, false>(args, k + 32 * j + 16, scales);
      const __m128i both = _mm_add_epi16(first, second);
      StoreWords<kWidth>(sums + (kStart32 + 2 * j) * kWidth, StartWords<5>(first));
      StoreWords<kWidth>(sums + (kStart32 + 2 * j + 1) * kWidth, StartWords<5>(second));
      StoreWords<kWidth>(sums + (kStart16OfK + j) * kWidth, StartWords<4>(both));
      whole[j] = WholeSums(both);
    }
    StoreWords<kWidth>(sums + kPairs * kWidth, PairWords(whole[0], whole[2]));
    StoreWords<kWidth>(sums + (kPairs + 1) * kWidth, PairWords(whole[1], whole[3]));
    StoreWords<kWidth>(sums + (kPairs + 2) * kWidth, PairWords(whole[4], whole[6]));
    StoreWords<kWidth>(sums + (kPairs + 3) * kWidth, PairWords(whole[5], whole[7]));
  }
}

template <int kWidth>
void QuantiseGroup(const QuantiseArgs& args) {
  if (args.block == 256) {
    QuantiseBlocks256<kWidth>(args);
  } else if (args.wide != nullptr) {
    QuantiseBlocks32<kWidth, true>(args);
  } else {
    QuantiseBlocks32<kWidth, false>(args);
  }
}

void Quantise(const QuantiseArgs& args) {
  switch (args.width) {
    case 1:
      return QuantiseGroup<1>(args);
    case 2:
      return QuantiseGroup<2>(args);
    case 3:
      return QuantiseGroup<3>(args);
    default:
      return QuantiseGroup<4>(args);
  }
}

}  // namespace
}  // namespace tatara::numerics
