// ExpF64 of functions.h over eight f64 lanes: the same operations in the same order. Included by
// the per-ISA files after their doubles.h; internal linkage.
#pragma once

#include <cstdint>

#include "exp_f64_constants.h"

namespace tatara::numerics {
namespace {

// The nearest whole number, ties to even, for |x| < 2^51: the sum with 1.5 * 2^52 has no room for
// less.
inline Doubles NearestWhole(Doubles x) {
  const Doubles shift = BroadcastF64(0x1.8p52);
  return Sub(Add(x, shift), shift);
}

inline Doubles ExpDoubles(Doubles x) {
  const Doubles n = NearestWhole(Mul(x, BroadcastF64(kLog2EF64)));
  const Doubles r = Fma(n, BroadcastF64(-kLn2LowF64), Fma(n, BroadcastF64(-kLn2HighF64), x));
  Doubles p = BroadcastF64(kExpF64Terms[0]);
  for (const double* term = kExpF64Terms + 1; term != kExpF64Terms + 14; ++term) {
    p = Fma(p, r, BroadcastF64(*term));
  }
  // 2^n in two factors of about half its exponent: only the last product can round.
  const Doubles half = NearestWhole(Mul(n, BroadcastF64(0.5)));
  const Doubles power = Mul(Mul(p, PowerOfTwo(half)), PowerOfTwo(Sub(n, half)));
  const Doubles within =
      SelectIfLess(BroadcastF64(kExpF64InputMax), x, BroadcastF64(__builtin_inf()), power);
  const Doubles result = SelectIfLess(x, BroadcastF64(kExpF64InputMin), BroadcastF64(0.0), within);
  return SelectIfNaN(x, x, result);
}

void ExpRowF64(const double* x, std::int64_t n, double* y) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) StoreF64(y + i, ExpDoubles(LoadF64(x + i)));
  if (i == n) return;
  double rest[8] = {};
  for (std::int64_t j = i; j < n; ++j) rest[j - i] = x[j];
  StoreF64(rest, ExpDoubles(LoadF64(rest)));
  for (std::int64_t j = i; j < n; ++j) y[j] = rest[j - i];
}

}  // namespace
}  // namespace tatara::numerics
