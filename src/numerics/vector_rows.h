// Row operations of ops.h over `Lanes`. A ragged end is read under a mask as +0 (or what the
// operation ignores), which changes no bit of a sum that starts from +0. Included by the per-ISA
// files after their lanes.h; internal linkage.
#pragma once

#include <cstdint>

#include "vector_erf.h"
#include "vector_functions.h"
#include "vector_map.h"

namespace tatara::numerics {
namespace {

void ExpRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return ExpLanes(v); });
}
void TanhRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return TanhLanes(v); });
}

void ErfRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return ErfLanes(v); });
}

float Sum(const float* x, std::int64_t n) {
  Lanes sum = Zero();
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) sum = Add(sum, Load(x + i));
  if (i < n) sum = Add(sum, LoadMasked(x + i, FirstLanes(n - i)));
  return TreeSum(sum);
}

float SumOfSquares(const float* x, std::int64_t n) {
  Lanes sum = Zero();
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Lanes v = Load(x + i);
    sum = Fma(v, v, sum);
  }
  if (i < n) {
    const Lanes v = LoadMasked(x + i, FirstLanes(n - i));
    sum = Fma(v, v, sum);
  }
  return TreeSum(sum);
}

constexpr float kMinusInfinity = -__builtin_inff();

float Max(const float* x, std::int64_t n) {
  Lanes max = Broadcast(kMinusInfinity);
  Mask nan = NoLanes();
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Lanes v = Load(x + i);
    nan = Or(nan, IsNaN(v));
    max = Larger(max, v);
  }
  if (i < n) {
    const Mask rest = FirstLanes(n - i);
    const Lanes v = Select(rest, LoadMasked(x + i, rest), Broadcast(kMinusInfinity));
    nan = Or(nan, IsNaN(v));
    max = Larger(max, v);
  }
  return Bits(nan) != 0 ? __builtin_nanf("") : TreeLarger(max);
}

std::int64_t ArgMax(const float* x, std::int64_t n) {
  Lanes max = Broadcast(kMinusInfinity);
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) max = Larger(max, Load(x + i));  // passes over NaN
  if (i < n) {
    const Mask rest = FirstLanes(n - i);
    max = Larger(max, Select(rest, LoadMasked(x + i, rest), Broadcast(kMinusInfinity)));
  }
  const Lanes largest = Broadcast(TreeLarger(max));
  for (i = 0; i < n; i += 16) {
    const Mask here = n - i >= 16 ? FirstLanes(16) : FirstLanes(n - i);
    const unsigned found = Bits(And(here, Equal(LoadMasked(x + i, here), largest)));
    if (found != 0) return i + __builtin_ctz(found);
  }
  return -1;
}

void RmsNorm(const float* x, const float* weight, std::int64_t n, float eps, float* y) {
  const float mean = SumOfSquares(x, n) / static_cast<float>(n);
  const Lanes r = Broadcast(1.0F / __builtin_sqrtf(mean + eps));
  if (weight == nullptr) {
    MapRow(x, n, y, [r](Lanes v) TATARA_INLINE_LAMBDA { return Mul(v, r); });
  } else {
    MapRow(x, weight, n, y,
           [r](Lanes v, Lanes w) TATARA_INLINE_LAMBDA { return Mul(Mul(v, r), w); });
  }
}

void AddRow(const float* x, std::int64_t n, float* y) {
  MapRow(y, x, n, y, [](Lanes a, Lanes b) TATARA_INLINE_LAMBDA { return Add(a, b); });
}

// The sum over (x[i] - mean)^2.
inline float SumOfSquaredDeviations(const float* x, std::int64_t n, Lanes mean) {
  Lanes sum = Zero();
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Lanes v = Sub(Load(x + i), mean);
    sum = Fma(v, v, sum);
  }
  if (i < n) {
    const Mask rest = FirstLanes(n - i);
    const Lanes v = Select(rest, Sub(LoadMasked(x + i, rest), mean), Zero());
    sum = Fma(v, v, sum);
  }
  return TreeSum(sum);
}

void LayerNorm(const float* x, const float* weight, const float* bias, std::int64_t n, float eps,
               float* y) {
  const auto count = static_cast<float>(n);
  const Lanes mean = Broadcast(Sum(x, n) / count);
  const float variance = SumOfSquaredDeviations(x, n, mean) / count;
  const Lanes r = Broadcast(1.0F / __builtin_sqrtf(variance + eps));
  MapRow(x, weight, n, y,
         [r, mean](Lanes v, Lanes w) TATARA_INLINE_LAMBDA { return Mul(Mul(Sub(v, mean), r), w); });
  if (bias != nullptr) AddRow(bias, n, y);
}

void Softmax(float* x, std::int64_t n) {
  const Lanes max = Broadcast(Max(x, n));
  MapRow(x, n, x, [max](Lanes v) TATARA_INLINE_LAMBDA { return ExpLanes(Sub(v, max)); });
  const Lanes sum = Broadcast(Sum(x, n));
  MapRow(x, n, x, [sum](Lanes v) TATARA_INLINE_LAMBDA { return Div(v, sum); });
}

void ScaleRow(float s, std::int64_t n, float* y) {
  const Lanes factor = Broadcast(s);
  MapRow(y, n, y, [factor](Lanes v) TATARA_INLINE_LAMBDA { return Mul(v, factor); });
}

void AddScaledRow(float s, const float* x, std::int64_t n, float* y) {
  const Lanes factor = Broadcast(s);
  MapRow(x, y, n, y, [factor](Lanes a, Lanes b) TATARA_INLINE_LAMBDA { return Fma(factor, a, b); });
}

void SiluMul(const float* gate, const float* up, std::int64_t n, float* y) {
  const Lanes one = Broadcast(1.0F);
  MapRow(gate, up, n, y, [one](Lanes g, Lanes u) TATARA_INLINE_LAMBDA {
    return Mul(Div(g, Add(one, ExpLanes(Negate(g)))), u);
  });
}

void GeluTanhMul(const float* gate, const float* up, std::int64_t n, float* y) {
  MapRow(gate, up, n, y, [](Lanes g, Lanes u) TATARA_INLINE_LAMBDA {
    const Lanes cubic = Fma(Mul(Mul(Broadcast(kGeluK), g), g), g, g);
    const Lanes tanh = TanhLanes(Mul(Broadcast(kGeluC), cubic));
    return Mul(Mul(Mul(Broadcast(0.5F), g), Add(Broadcast(1.0F), tanh)), u);
  });
}

[[gnu::always_inline]] inline Lanes SigmoidLanes(Lanes x) {
  const Lanes one = Broadcast(1.0F);
  return Div(one, Add(one, ExpLanes(Negate(x))));
}
[[gnu::always_inline]] inline Lanes SiluLanes(Lanes x) {
  return Div(x, Add(Broadcast(1.0F), ExpLanes(Negate(x))));
}
[[gnu::always_inline]] inline Lanes GeluTanhLanes(Lanes g) {
  const Lanes cubic = Fma(Mul(Mul(Broadcast(kGeluK), g), g), g, g);
  const Lanes tanh = TanhLanes(Mul(Broadcast(kGeluC), cubic));
  return Mul(Mul(Broadcast(0.5F), g), Add(Broadcast(1.0F), tanh));
}
[[gnu::always_inline]] inline Lanes GeluErfLanes(Lanes g) {
  const Lanes erf = ErfLanes(Mul(g, Broadcast(kSqrtHalf)));
  return Mul(Mul(Broadcast(0.5F), g), Add(Broadcast(1.0F), erf));
}
[[gnu::always_inline]] inline Lanes ReluLanes(Lanes x) {
  return Select(LessThan(x, Zero()), Zero(), x);
}

void SigmoidRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return SigmoidLanes(v); });
}
void SiluRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return SiluLanes(v); });
}
void GeluTanhRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return GeluTanhLanes(v); });
}
void GeluErfRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return GeluErfLanes(v); });
}
void ReluRow(const float* x, std::int64_t n, float* y) {
  MapRow(x, n, y, [](Lanes v) TATARA_INLINE_LAMBDA { return ReluLanes(v); });
}
void GeluErfMul(const float* gate, const float* up, std::int64_t n, float* y) {
  MapRow(gate, up, n, y,
         [](Lanes g, Lanes u) TATARA_INLINE_LAMBDA { return Mul(GeluErfLanes(g), u); });
}
void ReluMul(const float* gate, const float* up, std::int64_t n, float* y) {
  MapRow(gate, up, n, y,
         [](Lanes g, Lanes u) TATARA_INLINE_LAMBDA { return Mul(ReluLanes(g), u); });
}

[[gnu::always_inline]] inline Lanes SoftCapLanes(Lanes x, Lanes cap) {
  return Mul(cap, TanhLanes(Div(x, cap)));
}
void SoftCapRow(float cap, std::int64_t n, float* y) {
  const Lanes limit = Broadcast(cap);
  MapRow(y, n, y, [limit](Lanes v) TATARA_INLINE_LAMBDA { return SoftCapLanes(v, limit); });
}

// Eight pairs (a, b) in neighbouring lanes: even lanes fma(a, cos, -(b * sin)), odd ones fma(a,
// sin, b * cos).
inline Lanes RotatePairs(Lanes x, const float* cosines, const float* sines) {
  const Lanes cosine = LoadTwice(cosines), sine = LoadTwice(sines);
  const Lanes other = Mul(OddTwice(x), EvenOdd(Negate(sine), cosine));
  return Fma(EvenTwice(x), EvenOdd(cosine, sine), other);
}

void RopePairs(float* x, std::int64_t n_pairs, const float* cosines, const float* sines) {
  std::int64_t i = 0;
  for (; i + 8 <= n_pairs; i += 8)
    Store(x + 2 * i, RotatePairs(Load(x + 2 * i), cosines + i, sines + i));
  if (i == n_pairs) return;
  float rest_cosines[8] = {}, rest_sines[8] = {};
  for (std::int64_t j = 0; j < n_pairs - i; ++j) {
    rest_cosines[j] = cosines[i + j];
    rest_sines[j] = sines[i + j];
  }
  const Mask rest = FirstLanes(2 * (n_pairs - i));
  StoreMasked(x + 2 * i, rest, RotatePairs(LoadMasked(x + 2 * i, rest), rest_cosines, rest_sines));
}

void RopeHalves(float* x, std::int64_t n_pairs, const float* cosines, const float* sines) {
  float* first = x;
  float* second = x + n_pairs;
  std::int64_t i = 0;
  for (; i + 16 <= n_pairs; i += 16) {
    const Lanes a = Load(first + i), b = Load(second + i);
    const Lanes cosine = Load(cosines + i), sine = Load(sines + i);
    Store(first + i, Fma(a, cosine, Negate(Mul(b, sine))));
    Store(second + i, Fma(a, sine, Mul(b, cosine)));
  }
  if (i == n_pairs) return;
  const Mask rest = FirstLanes(n_pairs - i);
  const Lanes a = LoadMasked(first + i, rest), b = LoadMasked(second + i, rest);
  const Lanes cosine = LoadMasked(cosines + i, rest), sine = LoadMasked(sines + i, rest);
  StoreMasked(first + i, rest, Fma(a, cosine, Negate(Mul(b, sine))));
  StoreMasked(second + i, rest, Fma(a, sine, Mul(b, cosine)));
}

void WidenRow(const std::uint16_t* x, std::int64_t n, float* y) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) Store(y + i, LoadHalves(x + i));
  if (i == n) return;
  std::uint16_t rest[16] = {};
  for (std::int64_t j = i; j < n; ++j) rest[j - i] = x[j];
  StoreMasked(y + i, FirstLanes(n - i), LoadHalves(rest));
}

void NarrowRow(const float* x, std::int64_t n, std::uint16_t* y) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) StoreHalves(y + i, Load(x + i));
  if (i == n) return;
  std::uint16_t rest[16];
  StoreHalves(rest, LoadMasked(x + i, FirstLanes(n - i)));
  for (std::int64_t j = i; j < n; ++j) y[j] = rest[j - i];
}

}  // namespace
}  // namespace tatara::numerics
