// What training needs besides products and the forward operations of ops.h: backward passes of
// norms, gates and losses, the optimiser's step, and dropout. Rules 1, 4 and 7; each operation
// written in a formula is rounded once, in the order of its parentheses. Every function works on
// one row, allocates nothing, gives the same bits on every instruction set, and sets the contract's
// floating-point environment for its call where the caller's is another.
// Thread safety: free functions, no state besides the active instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tatara::numerics {

// What a norm's backward pass needs of a row x of n values. RMS: mean 0, r = 1 / sqrt((sum of
// squares / n) + eps); layer: mean = Sum(x) / n, r = 1 / sqrt((sum of squares of x - mean) / n +
// eps). The sums are those of RmsNorm and LayerNorm in ops.h.
struct NormStatistics {
  float mean = 0;
  float r = 0;
};
NormStatistics RmsStatistics(std::span<const float> x, float eps);
NormStatistics LayerStatistics(std::span<const float> x, float eps);

enum class NormKind { kRms, kLayer };

// dx[i] = fma(r, fma(-h, b, g - a), dx[i]) with h = (x[i] - mean) * r, g = dy[i] * weight[i];
// b = (sum of g * h) / n by fma, a = Sum(g) / n for layer norms and 0 for RMS norms; rule 4.
void NormBackward(NormKind kind, std::span<const float> x, std::span<const float> weight,
                  std::span<const float> dy, const NormStatistics& statistics, std::span<float> dx);
// dweight[i] = fma(dy[i], (x[i] - mean) * r, dweight[i]); any part of a row. Called for tokens
// ascending it is a chain over tokens. A bias takes Add of ops.h.
void NormWeightGradient(std::span<const float> x, std::span<const float> dy,
                        const NormStatistics& statistics, std::span<float> dweight);

// f(x) as Silu, GeluTanh and GeluErf of ops.h. f'(x):
// SiLU: s * fma(x, 1 - s, 1), s = 1 / (1 + exp(-x));
// GELU (tanh): fma(((0.5 * x) * fma(-t, t, 1)), c * fma(3, q, 1), 0.5 * (1 + t)), q = (k * x) * x,
// t = tanh(c * fma(q, x, x));
// GELU (erf): fma(x, h * exp((-0.5 * x) * x), 0.5 * (1 + erf(x * sqrt(1/2)))), h = sqrt(1 / 2 pi).
enum class Activation { kSilu, kGeluTanh, kGeluErf };
// dx[i] = dy[i] * f'(x[i]). dx may be dy.
void ActivationBackward(Activation activation, std::span<const float> x, std::span<const float> dy,
                        std::span<float> dx);
// Of y = f(gate) * up: dgate[i] = (dy[i] * up[i]) * f'(gate[i]), dup[i] = dy[i] * f(gate[i]).
void GateBackward(Activation activation, std::span<const float> gate, std::span<const float> up,
                  std::span<const float> dy, std::span<float> dgate, std::span<float> dup);

// Lane j of 16 takes the elements i = j mod 16 by fma(a[i], b[i], .), then the tree (rule 4).
float Dot(std::span<const float> a, std::span<const float> b);

// Loss of one token, -log softmax(logits)[target] = (m - logits[target]) + log(l) in f64, m =
// Max(logits), l = Sum(exp(logits - m)). `logits` becomes its gradient: exp(logits - m) / l, less 1
// at the target.
double CrossEntropy(std::span<float> logits, std::int64_t target);
// The loss alone; `logits` is used as scratch.
double CrossEntropyLoss(std::span<float> logits, std::int64_t target);

// AdamW (Loshchilov and Hutter, arXiv:1711.05101) at step 1, 2, ...: g = gradient * gradient_scale;
// m = fma(beta1, m, (1 - beta1) * g); v = fma(beta2, v, ((1 - beta2) * g) * g);
// weight = fma(-rate, (m * c1) / (sqrt(v * c2) + eps), weight * (1 - rate * decay)),
// c1 = 1 / (1 - beta1^step), c2 alike; coefficients in our f64, rounded once.
struct AdamWStep {
  std::int64_t step = 1;
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0;
  float gradient_scale = 1;
};
void AdamW(const AdamWStep& step, std::span<const float> gradient, std::span<float> weight,
           std::span<float> first_moment, std::span<float> second_moment);

// x[i] = x[i] / divisor.
void Divide(float divisor, std::span<float> x);

// Pieces of 4,096 values by SumOfSquares, the pieces' sums added in f64, ascending.
constexpr std::size_t kSquaresPiece = 4096;
double SumOfSquaresF64(std::span<const float> x);

// Dropout keyed by position (rule 10): the value at `first` + i of a site's grid is kept where the
// 16-bit number drawn for it is at least round(rate * 65536), and then multiplied by scale =
// 1 / (1 - rate), rounded once. Numbers: word w, half h of the Philox block of (seed, dropout,
// site, step << 40 | index / 8) serve index 8 * block + 2 * w + h. Backward passes call it with the
// same key. Indices are below 2^43.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint32_t site = 0;
  std::uint64_t step = 0;  // below 2^24
  double rate = 0;         // in [0, 1)
};
void Dropout(const DropoutKey& key, std::uint64_t first, std::span<float> x);

}  // namespace tatara::numerics
