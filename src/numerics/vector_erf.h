// Erf of functions.h over `Lanes`: the operations of the scalar form in the same order, in f64 by
// halves. Included by the per-ISA files after their lanes.h and doubles.h; internal linkage.
#pragma once

#include "erf_constants.h"

namespace tatara::numerics {
namespace {

template <int kTerms>
[[gnu::always_inline]] inline Doubles HornerF64(const double (&terms)[kTerms], Doubles x) {
  Doubles sum = BroadcastF64(terms[kTerms - 1]);
#pragma GCC unroll 20
  for (int i = kTerms - 2; i >= 0; --i) sum = Fma(sum, x, BroadcastF64(terms[i]));
  return sum;
}

// The magnitude of erf for a >= 0. The branches leave out polynomials that no lane takes.
inline Doubles ErfMagnitude(Doubles a, bool some_from_1, bool some_from_2) {
  const Doubles small = Mul(a, HornerF64(kErfSmall, Mul(a, a)));
  if (!some_from_1) return small;
  Doubles erf = BroadcastF64(1.0);
  if (some_from_2) {
    const Doubles large = HornerF64(kErfLarge, Sub(a, BroadcastF64(3.0)));
    erf = SelectIfLess(a, BroadcastF64(4.0), large, erf);
  }
  const Doubles middle = HornerF64(kErfMiddle, Sub(a, BroadcastF64(1.5)));
  erf = SelectIfLess(a, BroadcastF64(2.0), middle, erf);
  return SelectIfLess(a, BroadcastF64(1.0), small, erf);
}

inline Lanes ErfLanes(Lanes x) {
  const Lanes a = Abs(x);
  const bool some_from_1 = Bits(LessThan(a, Broadcast(1.0F))) != 0xffff;
  const bool some_from_2 = some_from_1 && Bits(LessThan(a, Broadcast(2.0F))) != 0xffff;
  alignas(64) float p[16];
  Store(p, a);
  StoreNarrowed(p, ErfMagnitude(LoadWidened(p), some_from_1, some_from_2));
  StoreNarrowed(p + 8, ErfMagnitude(LoadWidened(p + 8), some_from_1, some_from_2));
  return Select(IsNaN(x), x, WithSignOf(Load(p), x));
}

}  // namespace
}  // namespace tatara::numerics
