// Vector operations of transformer models under the numerics contract (rules 1, 4, 7). Every
// function works on one row, allocates nothing, and gives the same bits on every instruction set.
// Each operation written in a formula is rounded once, in the order of its parentheses. The
// contract's floating-point environment is set for the call where the caller's is another. Thread
// safety: free functions, no state besides the active instruction set.
#pragma once

#include <cstdint>
#include <span>

namespace tatara::numerics {

// y[i] = (x[i] * r) * weight[i], r = 1 / sqrt((sum of squares / n) + eps), the sum as SumOfSquares.
// weight may be empty: then y[i] = x[i] * r. y may be x.
void RmsNorm(std::span<const float> x, std::span<const float> weight, float eps,
             std::span<float> y);

// y[i] = ((x[i] - mean) * r) * weight[i] + bias[i], mean = Sum(x) / n, r = 1 / sqrt((sum of squares
// of x[i] - mean) / n + eps), both sums by rule 4. bias may be empty: then nothing is added. y may
// be x.
void LayerNorm(std::span<const float> x, std::span<const float> weight, std::span<const float> bias,
               float eps, std::span<float> y);

// x[i] <- e[i] / Sum(e), e[i] = exp(x[i] - Max(x)). All -inf gives NaN. In place.
void Softmax(std::span<float> x);

// Add: y[i] = y[i] + x[i];  Scale: y[i] = y[i] * s;  AddScaled: y[i] = fma(s, x[i], y[i]);
// SiluMul: y[i] = (g / (1 + exp(-g))) * up[i], g = gate[i];
// GeluTanhMul: y[i] = ((0.5 * g) * (1 + tanh(c * fma((k * g) * g, g, g)))) * up[i], c = sqrt(2 /
// pi) and k = 0.044715 rounded to f32;
// GeluErfMul: y[i] = ((0.5 * g) * (1 + erf(g * h))) * up[i], h = sqrt(1/2) rounded to f32;
// ReluMul: y[i] = (g < 0 ? +0 : g) * up[i], so NaN and -0 stay. y may be gate or up.
void Add(std::span<const float> x, std::span<float> y);
void Scale(float s, std::span<float> y);
void AddScaled(float s, std::span<const float> x, std::span<float> y);
void SiluMul(std::span<const float> gate, std::span<const float> up, std::span<float> y);
void GeluTanhMul(std::span<const float> gate, std::span<const float> up, std::span<float> y);
void GeluErfMul(std::span<const float> gate, std::span<const float> up, std::span<float> y);
void ReluMul(std::span<const float> gate, std::span<const float> up, std::span<float> y);

// The same without up, in place; Sigmoid: y[i] = 1 / (1 + exp(-y[i])); TanhRow: tanh(y[i]) of
// functions.h; SoftCap: y[i] = cap * tanh(y[i] / cap), cap above 0.
void Silu(std::span<float> y);
void GeluTanh(std::span<float> y);
void GeluErf(std::span<float> y);
void Relu(std::span<float> y);
void Sigmoid(std::span<float> y);
void TanhRow(std::span<float> y);
void SoftCap(float cap, std::span<float> y);

// Rule 4: lane j of 16 takes the elements i = j mod 16, ascending; lanes j and j + 8, then + 4, +
// 2, + 1. Sums start from +0, squares are added by fma. Max takes b > a ? b : a from -inf on (of
// zeros of both signs the first in that order stays) and is NaN where any element is.
float Max(std::span<const float> x);
float Sum(std::span<const float> x);
float SumOfSquares(std::span<const float> x);

// Position of the largest value, the lowest index on ties; NaN never wins; -1 where all are NaN.
std::int64_t ArgMax(std::span<const float> x);

// x[i] <- ExpF64(x[i]).
void ExpRowF64(std::span<double> x);

// max + log(sum of exp(x[i] - max)) in f64 with our own exp and log, summed serially, ascending;
// for reported log-probabilities. -inf where all are -inf, NaN where any is NaN.
double LogSumExp(std::span<const float> x);

enum class RopeLayout { kPairs /* (2i, 2i+1) */, kHalves /* (i, i + n/2) */ };

// Inverse frequencies of pair i: base^(-2i/n_rot) in our own f64 pow, divided by factors[i] where
// given and by `linear_scale`. out: n_rot / 2 values.
void RopeInverseFrequencies(double base, int n_rot, std::span<const float> factors,
                            double linear_scale, std::span<double> out);

// cos and sin of position * inverse_frequency, our own f64 forms, rounded once to f32; n_rot/2
// each.
void RopeTable(std::int64_t position, std::span<const double> inverse_frequencies,
               std::span<float> cosines, std::span<float> sines);

// Rotates the first 2 * cosines.size() values of each head in place: a' = a*cos - b*sin as
// fma(a, cos, -(b*sin)), b' = fma(a, sin, b*cos). x: n_heads heads of head_dim.
void Rope(std::span<float> x, int n_heads, int head_dim, RopeLayout layout,
          std::span<const float> cosines, std::span<const float> sines);

}  // namespace tatara::numerics
