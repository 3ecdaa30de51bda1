// What gated recurrent layers and gated experts compute besides products and norms (rules 1, 2, 6
// and 7). Every function works on rows, allocates nothing, and gives the same bits on every
// instruction set; each operation written in a formula is rounded once. The contract's
// floating-point environment is set for the call where the caller's is another.
// Thread safety: free functions, no state besides the active instruction set.
#pragma once

#include <cstdint>
#include <span>

namespace tatara::numerics {

// y[i] = y[i] / (1 + exp(-gate[i])).
void SigmoidMul(std::span<const float> gate, std::span<float> y);

// y[i] = (g / (1 + exp(-(alpha * g)))) * (u + 1), g = min(gate[i], limit), u = up[i] clamped to
// -limit .. limit. NaN stays. y may be gate or up. Source: gpt-oss (OpenAI 2025), whose alpha is
// 1.702 and limit 7.
void ClampedSwishMul(std::span<const float> gate, std::span<const float> up, float alpha,
                     float limit, std::span<float> y);

// One token's causal convolution, a filter a channel, and SiLU: y[c] = s / (1 + exp(-s)),
// s = chain over taps ascending of fma(taps[tap][c], inputs[tap][c], .) from +0.
// inputs: a row of y.size() values for every tap, the oldest first, null for one before the
// sequence (zeros, which the chain takes as it takes others). taps: inputs.size() x y.size().
void CausalConvSilu(std::span<const float* const> inputs, std::span<const float> taps,
                    std::span<float> y);

}  // namespace tatara::numerics
