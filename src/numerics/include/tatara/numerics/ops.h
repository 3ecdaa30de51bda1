// Vector operations of transformer models under the numerics contract (rules 1, 4, 7). Every function
// works on one row, allocates nothing, and gives the same bits on every instruction set.
// Thread safety: free functions, no state besides the active instruction set.
#pragma once

#include <cstdint>
#include <span>

namespace tatara::numerics {

// y[i] = (x[i] * r) * weight[i], r = 1 / sqrt(mean(x^2) + eps); the sum by rule 4, squares by fma; each
// written operation rounded once. weight may be empty: then y[i] = x[i] * r. y may be x.
void RmsNorm(std::span<const float> x, std::span<const float> weight, float eps, std::span<float> y);

// x <- exp(x - max) / sum, sum by rule 4. All -inf gives NaN. In place.
void Softmax(std::span<float> x);

// y[i] += x[i]; y[i] *= s; y[i] = silu(gate[i]) * up[i]; y[i] = gelu_tanh(gate[i]) * up[i].
// silu(x) = x / (1 + exp(-x)). gelu_tanh(x) = (0.5 * x) * (1 + tanh(c * fma(k * x * x, x, x))).
void Add(std::span<const float> x, std::span<float> y);
void Scale(float s, std::span<float> y);
void SiluMul(std::span<const float> gate, std::span<const float> up, std::span<float> y);
void GeluTanhMul(std::span<const float> gate, std::span<const float> up, std::span<float> y);

// Maximum with NaN winning; sum and sum of squares by rule 4.
float Max(std::span<const float> x);
float Sum(std::span<const float> x);
float SumOfSquares(std::span<const float> x);

// Position of the largest value, the lowest index on ties; NaN never wins; -1 where all are NaN.
std::int64_t ArgMax(std::span<const float> x);

// logsumexp in f64, our own exp and log, summed serially ascending; for reported log-probabilities.
double LogSumExp(std::span<const float> x);

enum class RopeLayout { kPairs /* (2i, 2i+1) */, kHalves /* (i, i + n/2) */ };

// Inverse frequencies of pair i: base^(-2i/n_rot) in our own f64 pow, divided by factors[i] where given
// and by `linear_scale`. out: n_rot / 2 values.
void RopeInverseFrequencies(double base, int n_rot, std::span<const float> factors, double linear_scale,
                            std::span<double> out);

// cos and sin of position * inverse_frequency, our own f64 forms, rounded once to f32; n_rot/2 each.
void RopeTable(std::int64_t position, std::span<const double> inverse_frequencies, std::span<float> cosines,
               std::span<float> sines);

// Rotates the first 2 * cosines.size() values of each head in place: a' = a*cos - b*sin as
// fma(a, cos, -(b*sin)), b' = fma(a, sin, b*cos). x: n_heads heads of head_dim.
void Rope(std::span<float> x, int n_heads, int head_dim, RopeLayout layout, std::span<const float> cosines,
          std::span<const float> sines);

}  // namespace tatara::numerics
