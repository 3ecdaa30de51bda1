// f32 functions. Exp and Tanh are the scalar forms of vector_functions.h: the same operations in
// the same order. The others are not hot: they are computed in f64 far beyond f32's precision and
// rounded once.
#include "tatara/numerics/functions.h"

#include <cmath>
#include <cstdint>
#include <limits>

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

// erf(x) / x in x^2 for |x| < 1; erf in x - 1.5 for [1, 2); erf in x - 3 for [2, 4). Fitted like
// the others, errors 5e-16, 1e-13, 2e-15: far below f32's half unit.
constexpr double kErfSmall[] = {
    0x1.20dd750429b6bp+0,  -0x1.812746b037302p-2,  0x1.ce2f219fff6c9p-4,  -0x1.b82ce3023ccd8p-6,
    0x1.565bcb04f7db1p-8,  -0x1.c02d679f35d99p-11, 0x1.f99c25da00645p-14, -0x1.f4682b52397d2p-17,
    0x1.b5d364b66e98cp-20, -0x1.462928d200343p-23, 0x1.43f4636d0a01ep-27,
};
constexpr double kErfMiddle[] = {
    0x1.eea555713778bp-1,  0x1.e723726b82939p-4,  -0x1.6d5a95cf5a837p-3,  0x1.1c2a02bea0f1fp-3,
    -0x1.6d5a9718cae5ap-5, -0x1.e723722f4d6a6p-7, 0x1.3ca414f3b2668p-6,   -0x1.36d743aa8f052p-8,
    -0x1.35c480be99df2p-9, 0x1.c0398a8e6bd83p-10, -0x1.7544d3b47f3a1p-14, -0x1.0af0e8cf56852p-12,
    0x1.15102448d2c6fp-14, 0x1.33ccd42cbc499p-16,
};
constexpr double kErfLarge[] = {
    0x1.fffd1ac413601p-1,   0x1.2408e9bad674bp-13,  -0x1.b60d5e9a36c19p-12, 0x1.9db74b13caf75p-11,
    -0x1.11c85b06882f3p-10, 0x1.0a7b559607bfdp-10,  -0x1.82f23817f99d8p-11, 0x1.998b3e4dbbd8ep-12,
    -0x1.1aa5a3982a020p-13, 0x1.d2a80a4c802b2p-17,  0x1.05f7e5d9cc0eep-16,  -0x1.6a3783b9ffdbdp-17,
    0x1.974c02bc82609p-19,  0x1.0c81f49118145p-23,  -0x1.ebcc05e697c55p-22, 0x1.61ce6947591bcp-23,
    -0x1.4097149784ffbp-28, -0x1.026312e178ff1p-26, 0x1.0174b1b23451cp-28,
};

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
