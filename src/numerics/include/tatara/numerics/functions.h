// The elementary functions of the contract (rule 7): one form each, built from IEEE operations, fma
// and table-free polynomials, the same bits on every processor. The bounds below are in units of
// the last place of the exact result (a subnormal result has the smallest normal number's unit);
// functions_test.cc proves those of f32 for every f32 and those of f64 on dense samples.
//
// NaN gives NaN. The caller has the contract's floating-point environment (fp_environment.h).
// Thread safety: pure functions.
#pragma once

namespace tatara::numerics {

// Scalar forms; the vector kernels compute the same bits of Exp, Tanh and Erf.
float Exp(float x);   // < 0.9 ulp; subnormal results are right
float Tanh(float x);  // < 1.5 ulp; keeps the sign of zero
float Log(float x);   // < 0.501 ulp, as the four below: f64 inside, rounded once
float Erf(float x);
float Sin(float x);  // NaN for |x| > 2^24
float Cos(float x);
float Softplus(float x);  // log(1 + exp(x)), < 0.501 ulp

// f64 forms for tables, schedules and log-probabilities.
double ExpF64(double x);  // < 1 ulp
double LogF64(double x);  // < 0.55 ulp
// base >= 0, else NaN (0 and infinity as their limits; exponent 0 gives 1): < 2 ulp while
// |exponent * log(base)| < 500.
double PowF64(double base, double exponent);
// < 1 ulp for |x| <= 2^24 (positions up to 16 million radians), NaN beyond.
double SinF64(double x);
double CosF64(double x);

}  // namespace tatara::numerics
