// The elementary functions of the contract (rule 7): one form each, built from IEEE operations, fma and
// table-free polynomials, the same bits on every processor. Bounds are those the tests prove.
#pragma once

namespace tatara::numerics {

// f32, scalar forms (the vector kernels compute the same bits). Error bounds are in functions.cc and
// proven in functions_test.cc.
float Exp(float x);
float Log(float x);
float Tanh(float x);
float Erf(float x);
float Sin(float x);
float Cos(float x);

// f64 forms for tables, schedules and log-probabilities.
double ExpF64(double x);
double LogF64(double x);
double PowF64(double base, double exponent);
double SinF64(double x);
double CosF64(double x);

}  // namespace tatara::numerics
