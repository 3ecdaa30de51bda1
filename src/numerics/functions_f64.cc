// f64 functions, from IEEE operations and fma only.
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>

#include "exp_f64_constants.h"
#include "tatara/base/bytes.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// An unevaluated sum, |low| at most half a unit of high.
struct Pair {
  double high, low;
};

// Knuth's exact sum of two numbers of any magnitudes.
Pair TwoSum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

// 2^n for n in [-1022, 1023].
double PowerOfTwo(std::int64_t n) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

// log(x) of a positive finite number as a pair, relative error below 2^-58: x = 2^k * m with m
// between sqrt(1/2) and sqrt(2), log(m) = 2 atanh(s), s = (m - 1) / (m + 1), by the series in s^2
// <= 0.0295.
Pair LogPair(double x) {
  std::int64_t k = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    k = -54;
  }
  auto bits = std::bit_cast<std::uint64_t>(x);
  // Adding the distance from sqrt(1/2) to 1 moves the exponent exactly where m passes sqrt(2).
  constexpr std::uint64_t kOne = 0x3ff0000000000000, kSqrtHalf = 0x3fe6a09e667f3bcd;
  bits += kOne - kSqrtHalf;
  k += static_cast<std::int64_t>(bits >> 52) - 1023;
  const double m = std::bit_cast<double>((bits & 0x000fffffffffffff) + kSqrtHalf);

  const double f = m - 1.0;  // exact
  const double d = 2.0 + f;
  const double d_low = f - (d - 2.0);
  const double s = f / d;
  const double s_low = (std::fma(-s, d, f) - s * d_low) / d;
  const double z = s * s;
  double series = 2.0 / 23;
  for (int odd = 21; odd >= 3; odd -= 2) series = std::fma(series, z, 2.0 / odd);
  const double rest = std::fma(z * s, series, 2.0 * s_low);

  const auto scale = static_cast<double>(k);
  const Pair sum = TwoSum(scale * kLn2HighF64, 2.0 * s);
  return TwoSum(sum.high, sum.low + std::fma(scale, kLn2LowF64, rest));
}

// x - n * pi/2 as a pair and n mod 4, for |x| <= kTrigonometricMax: pi/2 in three parts of 29 bits,
// whose products with n are exact, and a fourth.
constexpr double kTrigonometricMax = 0x1p24;
struct Reduced {
  Pair r;
  int quadrant;
};
Reduced ReduceByHalfPi(double x) {
  const double n = std::rint(x * 0x1.45f306dc9c883p-1);
  const double first = std::fma(-n, 0x1.921fb54000000p+0, x);  // exact
  const Pair second = TwoSum(first, -n * 0x1.10b4611000000p-30);
  const Pair third = TwoSum(second.high, -n * 0x1.4c4c662000000p-59);
  const double low = std::fma(-n, 0x1.1701b839a2520p-88, second.low + third.low);
  return {TwoSum(third.high, low), static_cast<int>(static_cast<std::int64_t>(n) & 3)};
}

// Taylor series on |r| <= pi/4; the first terms left out are below 2^-60.
double SinNearZero(Pair r) {
  const double z = r.high * r.high;
  double p = 1.0 / 355687428096000.0;  // 1/17!
  p = std::fma(p, z, -1.0 / 1307674368000.0);
  p = std::fma(p, z, 1.0 / 6227020800.0);
  p = std::fma(p, z, -1.0 / 39916800.0);
  p = std::fma(p, z, 1.0 / 362880.0);
  p = std::fma(p, z, -1.0 / 5040.0);
  p = std::fma(p, z, 1.0 / 120.0);
  p = std::fma(p, z, -1.0 / 6.0);
  const double correction = std::fma(-0.5 * z, r.low, r.low);  // low * cos(high), to first order
  return r.high + std::fma(z * r.high, p, correction);
}
double CosNearZero(Pair r) {
  const double z = r.high * r.high;
  double p = -1.0 / 6402373705728000.0;  // 1/18!
  p = std::fma(p, z, 1.0 / 20922789888000.0);
  p = std::fma(p, z, -1.0 / 87178291200.0);
  p = std::fma(p, z, 1.0 / 479001600.0);
  p = std::fma(p, z, -1.0 / 3628800.0);
  p = std::fma(p, z, 1.0 / 40320.0);
  p = std::fma(p, z, -1.0 / 720.0);
  p = std::fma(p, z, 1.0 / 24.0);
  // 1 - z/2 exactly as a pair, then everything small.
  const double half = 0.5 * z;
  const double head = 1.0 - half;
  const double head_low = (1.0 - head) - half;
  const double square_low = std::fma(r.high, r.high, -z);
  return head + (head_low + std::fma(z * z, p, -0.5 * square_low - r.high * r.low));
}

// sin(x + quarter_turns * pi/2).
double SinOfShifted(double x, int quarter_turns) {
  if (!(std::fabs(x) <= kTrigonometricMax)) return kNaN;
  if (x == 0 && quarter_turns == 0) return x;  // keeps the sign of zero
  const Reduced reduced = ReduceByHalfPi(x);
  const int quadrant = (reduced.quadrant + quarter_turns) & 3;
  const double value = (quadrant & 1) != 0 ? CosNearZero(reduced.r) : SinNearZero(reduced.r);
  return (quadrant & 2) != 0 ? -value : value;
}

}  // namespace

double ExpF64(double x) {
  if (x != x) return x;
  if (x > kExpF64InputMax) return kInfinity;
  if (x < kExpF64InputMin) return 0.0;
  const double n = std::rint(x * kLog2EF64);
  const double r = std::fma(n, -kLn2LowF64, std::fma(n, -kLn2HighF64, x));
  double p = kExpF64Terms[0];
  for (const double* term = kExpF64Terms + 1; term != std::end(kExpF64Terms); ++term) {
    p = std::fma(p, r, *term);
  }
  const auto exponent = static_cast<std::int64_t>(n);
  const std::int64_t half = exponent >> 1;
  return p * PowerOfTwo(half) * PowerOfTwo(exponent - half);
}

double LogF64(double x) {
  if (x != x || x == kInfinity) return x;
  if (x < 0) return kNaN;
  if (x == 0) return -kInfinity;
  return LogPair(x).high;
}

double PowF64(double base, double exponent) {
  if (exponent == 0) return 1.0;
  if (base != base || exponent != exponent || base < 0) return kNaN;
  if (base == 1.0) return 1.0;
  if (base == 0 || base == kInfinity) return (base == 0) == (exponent > 0) ? 0.0 : kInfinity;
  const Pair log = LogPair(base);
  const double product = exponent * log.high;
  if (!(std::fabs(product) < 1000.0)) return product > 0 ? kInfinity : 0.0;
  const double low = std::fma(exponent, log.high, -product) + exponent * log.low;
  const double e = ExpF64(product);
  return e == kInfinity ? e : std::fma(e, low, e);
}

double SinF64(double x) {
  return SinOfShifted(x, 0);
}
double CosF64(double x) {
  return SinOfShifted(x, 1);
}

}  // namespace tatara::numerics
