// f32 functions. Exp, Tanh and Erf are the scalar forms of vector_functions.h and vector_erf.h: the
// same operations in the same order. Erf and the others are computed in f64 far beyond f32's
// precision and rounded once.
#include "tatara/numerics/functions.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "erf_constants.h"
#include "function_constants.h"
#include "tatara/base/bytes.h"

namespace tatara::numerics {
namespace {

// 2^n for n in [-126, 127].
float PowerOfTwo(std::int32_t n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

// By ascending power.
template <std::size_t n>
double Horner(const double (&coefficients)[n], double x) {
  double sum = coefficients[n - 1];
  for (std::size_t i = n - 1; i-- > 0;) sum = std::fma(sum, x, coefficients[i]);
  return sum;
}

}  // namespace

float Exp(float x) {
  if (x != x) return x;
  const float c = x < kExpInputMin ? kExpInputMin : (x > kExpInputMax ? kExpInputMax : x);
  const float n = std::rint(c * kLog2E);
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, c));
  float q = std::fma(kExpQ4, r, kExpQ3);
  q = std::fma(q, r, kExpQ2);
  q = std::fma(q, r, kExpQ1);
  q = std::fma(q, r, kExpQ0);
  q = std::fma(q, r, 1.0F);
  const float p = std::fma(q, r, 1.0F);
  // In two factors, so that results below the smallest normal number are rounded only once.
  const auto exponent = static_cast<std::int32_t>(n);
  const std::int32_t half = exponent >> 1;
  return p * PowerOfTwo(half) * PowerOfTwo(exponent - half);
}

float Tanh(float x) {
  const float a = std::fabs(x);
  if (a < kTanhSmall) {
    const float z = a * a;
    float p = std::fma(kTanhP4, z, kTanhP3);
    p = std::fma(p, z, kTanhP2);
    p = std::fma(p, z, kTanhP1);
    p = std::fma(p, z, kTanhP0);
    return std::copysign(std::fma(a * z, p, a), x);
  }
  return std::copysign(1.0F - 2.0F / (Exp(a + a) + 1.0F), x);
}

float Log(float x) {
  return static_cast<float>(LogF64(x));
}
float Sin(float x) {
  return static_cast<float>(SinF64(x));
}
float Cos(float x) {
  return static_cast<float>(CosF64(x));
}

float Softplus(float x) {
  const auto wide = static_cast<double>(x);
  if (x > 40.0F) return x;  // exp(-40) is far below half a unit of 40
  const double e = ExpF64(wide);
  // Below, 1 + e would round away what decides the result: log(1 + e) / e by its series.
  if (x < -8.0F) {
    const double series =
        std::fma(e, std::fma(e, std::fma(e, std::fma(e, 0.2, -0.25), 1.0 / 3), -0.5), 1.0);
    return static_cast<float>(e * series);
  }
  return static_cast<float>(LogF64(1.0 + e));
}

float Erf(float x) {
  const double a = std::fabs(static_cast<double>(x));
  if (a < 1.0) return static_cast<float>(x * Horner(kErfSmall, a * a));
  double erf = 1.0;
  if (a < 2.0) {
    erf = Horner(kErfMiddle, a - 1.5);
  } else if (a < 4.0) {
    erf = Horner(kErfLarge, a - 3.0);
  } else if (x != x) {
    return x;
  }
  return static_cast<float>(x < 0 ? -erf : erf);
}

}  // namespace tatara::numerics
