// The kernels of product.h and training.h over `Lanes`: the oracle's operations in its order. A
// ragged end is read under a mask as +0, which adds nothing to a sum. Included by the per-ISA files
// after their lanes.h and doubles.h; internal linkage.
#pragma once

#include <cstdint>

#include "panel_copy.h"
#include "training_kernels.h"
#include "vector_erf.h"
#include "vector_functions.h"
#include "vector_map.h"

namespace tatara::numerics {
namespace {

constexpr int kProductColumns = 16 * kTileVectors;

template <bool kFromZero, int kRows>
inline void ProductTileFrom(const float* a, const float* b, std::int64_t n_k, float* c,
                            std::int64_t c_stride) {
  Lanes sum[kRows][kTileVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kTileVectors; ++v) {
      sum[i][v] = kFromZero ? Zero() : Load(c + i * c_stride + 16 * v);
    }
  }
  for (std::int64_t k = 0; k < n_k; ++k) {
    Lanes w[kTileVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kTileVectors; ++v) w[v] = Load(b + k * kProductColumns + 16 * v);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const Lanes x = Broadcast(a[k * kTileRows + i]);
#pragma GCC unroll 2
      for (int v = 0; v < kTileVectors; ++v) sum[i][v] = Fma(x, w[v], sum[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kTileVectors; ++v) Store(c + i * c_stride + 16 * v, sum[i][v]);
  }
}

// Thirds of a tile keep the processor's pipes nearly as full as whole ones.
constexpr int kTileRowStep = kTileRows % 3 == 0 ? kTileRows / 3 : kTileRows;

template <bool kFromZero>
inline void ProductTileOfRows(const float* a, const float* b, std::int64_t n_k, int n_rows,
                              float* c, std::int64_t c_stride) {
  if (n_rows == kTileRows) return ProductTileFrom<kFromZero, kTileRows>(a, b, n_k, c, c_stride);
  if constexpr (kTileRowStep < kTileRows) {
    if (n_rows == kTileRowStep) {
      return ProductTileFrom<kFromZero, kTileRowStep>(a, b, n_k, c, c_stride);
    }
    return ProductTileFrom<kFromZero, 2 * kTileRowStep>(a, b, n_k, c, c_stride);
  }
}

void TrainingProductTile(const float* a, const float* b, std::int64_t n_k, int n_rows, float* c,
                         std::int64_t c_stride, bool from_zero) {
  if (from_zero) {
    ProductTileOfRows<true>(a, b, n_k, n_rows, c, c_stride);
  } else {
    ProductTileOfRows<false>(a, b, n_k, n_rows, c, c_stride);
  }
}

// load(i, mask or all) -> Lanes, summed by `add(sum, i, mask)`.
template <typename F>
[[gnu::always_inline]] inline float SumOver(std::int64_t n, F add) {
  Lanes sum = Zero();
  std::int64_t i = 0;
  const Mask all = FirstLanes(16);
  for (; i + 16 <= n; i += 16) sum = add(sum, i, all);
  if (i < n) sum = add(sum, i, FirstLanes(n - i));
  return TreeSum(sum);
}

float DotRow(const float* a, const float* b, std::int64_t n) {
  return SumOver(n, [=](Lanes sum, std::int64_t i, Mask m) TATARA_INLINE_LAMBDA {
    return Fma(LoadMasked(a + i, m), LoadMasked(b + i, m), sum);
  });
}

float SumOfSquaredDeviationsRow(const float* x, std::int64_t n, float mean) {
  const Lanes middle = Broadcast(mean);
  return SumOver(n, [=](Lanes sum, std::int64_t i, Mask m) TATARA_INLINE_LAMBDA {
    const Lanes d = Select(m, Sub(LoadMasked(x + i, m), middle), Zero());
    return Fma(d, d, sum);
  });
}

void ExpShiftedRow(const float* x, float shift, std::int64_t n, float* y) {
  const Lanes by = Broadcast(shift);
  MapRow(x, n, y, [by](Lanes v) TATARA_INLINE_LAMBDA { return ExpLanes(Sub(v, by)); });
}

void NormBackwardOf(const NormBackwardRow& row, std::int64_t n) {
  const Lanes mean = Broadcast(row.mean), r = Broadcast(row.r);
  const auto gradient = [&](std::int64_t i, Mask m) TATARA_INLINE_LAMBDA {
    return Mul(LoadMasked(row.dy + i, m), LoadMasked(row.weight + i, m));
  };
  const auto normed = [&](std::int64_t i, Mask m) TATARA_INLINE_LAMBDA {
    return Select(m, Mul(Sub(LoadMasked(row.x + i, m), mean), r), Zero());
  };
  const auto count = static_cast<float>(n);
  float mean_gradient = 0;
  if (row.centred) {
    mean_gradient = SumOver(n, [&](Lanes sum, std::int64_t i, Mask m)
                                   TATARA_INLINE_LAMBDA { return Add(sum, gradient(i, m)); }) /
                    count;
  }
  const float weighted = SumOver(n, [&](Lanes sum, std::int64_t i, Mask m) TATARA_INLINE_LAMBDA {
    return Fma(gradient(i, m), normed(i, m), sum);
  });
  const Lanes a = Broadcast(mean_gradient), b = Broadcast(weighted / count);
  for (std::int64_t i = 0; i < n; i += 16) {
    const Mask m = FirstLanes(n - i < 16 ? n - i : 16);
    const Lanes d = Fma(Negate(normed(i, m)), b, Sub(gradient(i, m), a));
    StoreMasked(row.dx + i, m, Fma(r, d, LoadMasked(row.dx + i, m)));
  }
}

void NormWeightGradientRow(const float* x, const float* dy, float mean, float r, std::int64_t n,
                           float* weight) {
  const Lanes middle = Broadcast(mean), factor = Broadcast(r);
  for (std::int64_t i = 0; i < n; i += 16) {
    const Mask m = FirstLanes(n - i < 16 ? n - i : 16);
    const Lanes normed = Mul(Sub(LoadMasked(x + i, m), middle), factor);
    StoreMasked(weight + i, m, Fma(LoadMasked(dy + i, m), normed, LoadMasked(weight + i, m)));
  }
}

struct SlopeLanes {
  Lanes value, slope;
};

[[gnu::always_inline]] inline SlopeLanes SiluSlope(Lanes x) {
  const Lanes one = Broadcast(1.0F);
  const Lanes below = Add(one, ExpLanes(Negate(x)));
  const Lanes s = Div(one, below);
  return {Div(x, below), Mul(s, Fma(x, Sub(one, s), one))};
}
[[gnu::always_inline]] inline SlopeLanes GeluTanhSlope(Lanes x) {
  const Lanes one = Broadcast(1.0F), half = Broadcast(0.5F), c = Broadcast(kGeluC);
  const Lanes square = Mul(Mul(Broadcast(kGeluK), x), x);
  const Lanes t = TanhLanes(Mul(c, Fma(square, x, x)));
  const Lanes rate = Mul(c, Fma(Broadcast(3.0F), square, one));
  const Lanes bend = Mul(Mul(half, x), Fma(Negate(t), t, one));
  const Lanes above = Add(one, t);
  return {Mul(Mul(half, x), above), Fma(bend, rate, Mul(half, above))};
}
[[gnu::always_inline]] inline SlopeLanes GeluErfSlope(Lanes x) {
  const Lanes half = Broadcast(0.5F);
  const Lanes above = Add(Broadcast(1.0F), ErfLanes(Mul(x, Broadcast(kSqrtHalf))));
  const Lanes density =
      Mul(Broadcast(kInverseSqrtTwoPi), ExpLanes(Mul(Mul(Broadcast(-0.5F), x), x)));
  return {Mul(Mul(half, x), above), Fma(x, density, Mul(half, above))};
}

template <typename F>
[[gnu::always_inline]] inline void ActivationBackwardRow(const float* x, const float* up,
                                                         const float* dy, std::int64_t n, float* dx,
                                                         float* dup, F f) {
  for (std::int64_t i = 0; i < n; i += 16) {
    const Mask m = FirstLanes(n - i < 16 ? n - i : 16);
    const SlopeLanes at = f(LoadMasked(x + i, m));
    Lanes d = LoadMasked(dy + i, m);
    if (up != nullptr) {
      const Lanes u = LoadMasked(up + i, m);
      StoreMasked(dup + i, m, Mul(d, at.value));
      d = Mul(d, u);
    }
    StoreMasked(dx + i, m, Mul(d, at.slope));
  }
}

void SiluBackwardRow(const float* x, const float* up, const float* dy, std::int64_t n, float* dx,
                     float* dup) {
  ActivationBackwardRow(x, up, dy, n, dx, dup,
                        [](Lanes v) TATARA_INLINE_LAMBDA { return SiluSlope(v); });
}
void GeluTanhBackwardRow(const float* x, const float* up, const float* dy, std::int64_t n,
                         float* dx, float* dup) {
  ActivationBackwardRow(x, up, dy, n, dx, dup,
                        [](Lanes v) TATARA_INLINE_LAMBDA { return GeluTanhSlope(v); });
}
void GeluErfBackwardRow(const float* x, const float* up, const float* dy, std::int64_t n, float* dx,
                        float* dup) {
  ActivationBackwardRow(x, up, dy, n, dx, dup,
                        [](Lanes v) TATARA_INLINE_LAMBDA { return GeluErfSlope(v); });
}

void SoftmaxBackwardRow(const float* p, float d, float scale, std::int64_t n, float* dp) {
  const Lanes middle = Broadcast(d), factor = Broadcast(scale);
  MapRow(p, dp, n, dp, [=](Lanes a, Lanes b) TATARA_INLINE_LAMBDA {
    return Mul(Mul(a, Sub(b, middle)), factor);
  });
}

void AdamWRow(const AdamWFactors& f, const float* gradient, std::int64_t n, float* weight,
              float* first, float* second) {
  const Lanes scale = Broadcast(f.gradient_scale), eps = Broadcast(f.eps), keep = Broadcast(f.keep);
  const Lanes beta1 = Broadcast(f.beta1), rest1 = Broadcast(f.one_minus_beta1);
  const Lanes beta2 = Broadcast(f.beta2), rest2 = Broadcast(f.one_minus_beta2);
  const Lanes correction1 = Broadcast(f.correction1), correction2 = Broadcast(f.correction2);
  const Lanes back = Broadcast(-f.learning_rate);
  for (std::int64_t i = 0; i < n; i += 16) {
    const Mask m = FirstLanes(n - i < 16 ? n - i : 16);
    const Lanes g = Mul(LoadMasked(gradient + i, m), scale);
    const Lanes mean = Fma(beta1, LoadMasked(first + i, m), Mul(rest1, g));
    const Lanes square = Fma(beta2, LoadMasked(second + i, m), Mul(Mul(rest2, g), g));
    StoreMasked(first + i, m, mean);
    StoreMasked(second + i, m, square);
    const Lanes root = Add(Sqrt(Mul(square, correction2)), eps);
    const Lanes step = Div(Mul(mean, correction1), root);
    StoreMasked(weight + i, m, Fma(back, step, Mul(LoadMasked(weight + i, m), keep)));
  }
}

void RoundBF16Row(float* x, std::int64_t n, std::uint16_t* stored) {
  const auto round = [](float* to, std::uint16_t* half) TATARA_INLINE_LAMBDA {
    const Lanes rounded = NearestBF16(Load(to));
    Store(to, rounded);
    if (half != nullptr) StoreUpperHalves(half, rounded);
  };
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) round(x + i, stored == nullptr ? nullptr : stored + i);
  if (i == n) return;
  float end[16] = {};
  std::uint16_t halves[16];
  for (std::int64_t j = i; j < n; ++j) end[j - i] = x[j];
  round(end, halves);
  for (std::int64_t j = i; j < n; ++j) x[j] = end[j - i];
  for (std::int64_t j = i; stored != nullptr && j < n; ++j) stored[j] = halves[j - i];
}

void LoadBF16Row(const std::uint16_t* stored, std::int64_t n, float* x) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) Store(x + i, QuietNaN(LoadUpperHalves(stored + i)));
  if (i == n) return;
  std::uint16_t halves[16] = {};
  for (std::int64_t j = i; j < n; ++j) halves[j - i] = stored[j];
  StoreMasked(x + i, FirstLanes(n - i), QuietNaN(LoadUpperHalves(halves)));
}

void DrawGroupsOf(const DrawnGroups& from, std::int64_t n_groups, std::uint32_t* words) {
  for (std::int64_t i = 0; i < n_groups; ++i) {
    const std::uint64_t position = 16 * (from.first_group + static_cast<std::uint64_t>(i));
    Words c0 = BroadcastWord(from.purpose), c1 = BroadcastWord(from.choice);
    Words c2 = WordsFrom(static_cast<std::uint32_t>(position));
    Words c3 = BroadcastWord(static_cast<std::uint32_t>(position >> 32));
    std::uint32_t key0 = from.key[0], key1 = from.key[1];
    for (int round = 0; round < 10; ++round) {
      const WordProducts p0 = MultiplyWords(c0, 0xD2511F53), p1 = MultiplyWords(c2, 0xCD9E8D57);
      c0 = XorWords(XorWords(p1.high, c1), BroadcastWord(key0));
      c2 = XorWords(XorWords(p0.high, c3), BroadcastWord(key1));
      c1 = p1.low;
      c3 = p0.low;
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    StoreWords(words + 64 * i, c0);
    StoreWords(words + 64 * i + 16, c1);
    StoreWords(words + 64 * i + 32, c2);
    StoreWords(words + 64 * i + 48, c3);
  }
}

void StoreDrawnBF16Row(const float* x, const std::uint32_t* words, bool upper, std::int64_t n,
                       std::uint16_t* stored) {
  const auto drawn = [upper](Lanes v, const std::uint32_t* word) TATARA_INLINE_LAMBDA {
    return upper ? PlusUpperHalves(v, LoadWords(word)) : PlusLowerHalves(v, LoadWords(word));
  };
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) StoreUpperHalves(stored + i, drawn(Load(x + i), words + i));
  if (i == n) return;
  std::uint32_t end[16] = {};
  std::uint16_t halves[16];
  for (std::int64_t j = i; j < n; ++j) end[j - i] = words[j];
  StoreUpperHalves(halves, drawn(LoadMasked(x + i, FirstLanes(n - i)), end));
  for (std::int64_t j = i; j < n; ++j) stored[j] = halves[j - i];
}

void DropRow(const DrawnDropout& drawn, std::int64_t n, float* x) {
  const Lanes scale = Broadcast(drawn.scale);
  std::uint16_t numbers[128 + 16] = {};  // of a group, value after value; loads reach beyond it
  for (std::int64_t i = 0; i < n;) {
    const std::int64_t group = (drawn.first + i) / 128, at = (drawn.first + i) % 128;
    StoreInTurn(numbers, drawn.words + 64 * group);
    const std::int64_t here = n - i < 128 - at ? n - i : 128 - at;
    std::int64_t j = 0;
    for (; j + 16 <= here; j += 16) {
      const Lanes kept = Mul(Load(x + i + j), scale);
      Store(x + i + j, FromNumber(drawn.threshold, numbers + at + j, kept));
    }
    if (j < here) {
      const Mask rest = FirstLanes(here - j);
      const Lanes kept = Mul(LoadMasked(x + i + j, rest), scale);
      StoreMasked(x + i + j, rest, FromNumber(drawn.threshold, numbers + at + j, kept));
    }
    i += here;
  }
}

}  // namespace
}  // namespace tatara::numerics

#define TATARA_TRAINING_KERNELS                               \
  {                                                           \
      .product_tile = TrainingProductTile,                    \
      .tile_rows = kTileRows,                                 \
      .tile_columns = kProductColumns,                        \
      .tile_row_step = kTileRowStep,                          \
      .copy_panels = CopyPanels,                              \
      .dot = DotRow,                                          \
      .sum_of_squared_deviations = SumOfSquaredDeviationsRow, \
      .exp_shifted = ExpShiftedRow,                           \
      .norm_backward = NormBackwardOf,                        \
      .norm_weight_gradient = NormWeightGradientRow,          \
      .silu_backward = SiluBackwardRow,                       \
      .gelu_tanh_backward = GeluTanhBackwardRow,              \
      .gelu_erf_backward = GeluErfBackwardRow,                \
      .softmax_backward = SoftmaxBackwardRow,                 \
      .adamw = AdamWRow,                                      \
      .round_bf16 = RoundBF16Row,                             \
      .load_bf16 = LoadBF16Row,                               \
      .draw_groups = DrawGroupsOf,                            \
      .store_drawn_bf16 = StoreDrawnBF16Row,                  \
      .drop = DropRow,                                        \
  }
