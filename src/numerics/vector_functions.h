// Exp and Tanh of functions.h over `Lanes`: the operations of the scalar forms in the same order.
// Included by the per-ISA files after their lanes.h; internal linkage.
#pragma once

#include "function_constants.h"

namespace tatara::numerics {
namespace {

// Exp of a clamped x. Inlined by force: GCC weighs size, and a call spills the lanes of two
// registers.
[[gnu::always_inline]] inline Lanes ExpInRange(Lanes c) {
  const Lanes n = RoundToEven(Mul(c, Broadcast(kLog2E)));
  const Lanes r = Fma(n, Broadcast(-kLn2Low), Fma(n, Broadcast(-kLn2High), c));
  Lanes q = Fma(Broadcast(kExpQ4), r, Broadcast(kExpQ3));
  q = Fma(q, r, Broadcast(kExpQ2));
  q = Fma(q, r, Broadcast(kExpQ1));
  q = Fma(q, r, Broadcast(kExpQ0));
  q = Fma(q, r, Broadcast(1.0F));
  return TimesPowerOfTwo(Fma(q, r, Broadcast(1.0F)), n);
}
// Larger and Smaller keep NaN: the bound wins only over a number.
[[gnu::always_inline]] inline Lanes ExpOfNonPositive(Lanes x) {
  return ExpInRange(Larger(x, Broadcast(kExpInputMin)));
}
[[gnu::always_inline]] inline Lanes ExpLanes(Lanes x) {
  return ExpOfNonPositive(Smaller(x, Broadcast(kExpInputMax)));
}

[[gnu::always_inline]] inline Lanes TanhLanes(Lanes x) {
  const Lanes one = Broadcast(1.0F);
  const Lanes a = Abs(x);
  const Lanes z = Mul(a, a);
  Lanes p = Fma(Broadcast(kTanhP4), z, Broadcast(kTanhP3));
  p = Fma(p, z, Broadcast(kTanhP2));
  p = Fma(p, z, Broadcast(kTanhP1));
  p = Fma(p, z, Broadcast(kTanhP0));
  const Lanes small = Fma(Mul(a, z), p, a);
  const Lanes large = Sub(one, Div(Broadcast(2.0F), Add(ExpLanes(Add(a, a)), one)));
  return WithSignOf(Select(LessThan(a, Broadcast(kTanhSmall)), small, large), x);
}

}  // namespace
}  // namespace tatara::numerics
