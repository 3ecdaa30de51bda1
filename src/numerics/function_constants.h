// Constants of the f32 exp and tanh, shared by their scalar and vector forms. Polynomials are
// weighted least-squares fits on Chebyshev nodes, rounded coefficient by coefficient
// (tools/fit_polynomials).
//
// Included by files compiled with extra ISA flags: constants only.
#pragma once

namespace tatara::numerics {

// exp(x) = 2^n * e^r, n = rint(x * log2(e)), |r| <= ln(2)/2.
constexpr float kLog2E = 0x1.715476p+0F;
constexpr float kLn2High = 0x1.62e430p-1F;   // ln(2) rounded to f32,
constexpr float kLn2Low = -0x1.05c610p-29F;  // and what is left of it
constexpr float kExpInputMin = -104.0F;      // exp of it rounds to 0
constexpr float kExpInputMax = 89.0F;        // exp of it overflows
// (e^r - 1 - r) / r^2 by ascending power; weighted error 3.7e-9.
constexpr float kExpQ0 = 0x1.fffff8p-2F;
constexpr float kExpQ1 = 0x1.55548ep-3F;
constexpr float kExpQ2 = 0x1.555b9ap-5F;
constexpr float kExpQ3 = 0x1.123bf0p-7F;
constexpr float kExpQ4 = 0x1.684fe4p-10F;

// (tanh(x) - x) / x^3 in z = x^2 for |x| < 0.625; weighted error 4.9e-9.
constexpr float kTanhSmall = 0.625F;
constexpr float kTanhP0 = -0x1.555530p-2F;
constexpr float kTanhP1 = 0x1.1106a4p-3F;
constexpr float kTanhP2 = -0x1.b82d0ep-5F;
constexpr float kTanhP3 = 0x1.51ca58p-6F;
constexpr float kTanhP4 = -0x1.745d5cp-8F;

// gelu_tanh: sqrt(2/pi) and the cubic's coefficient (Hendrycks and Gimpel, arXiv:1606.08415).
constexpr float kGeluC = 0x1.988454p-1F;
constexpr float kGeluK = 0x1.6e4e26p-5F;
// gelu_erf: sqrt(1/2).
constexpr float kSqrtHalf = 0x1.6a09e6p-1F;
// Its slope: sqrt(1 / (2 pi)).
constexpr float kInverseSqrtTwoPi = 0x1.988454p-2F;

}  // namespace tatara::numerics
