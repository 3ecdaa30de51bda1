#include "tatara/numerics/ops.h"

#include <limits>

#include "float_dispatch.h"
#include "fp_guard.h"
#include "tatara/base/check.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics {
namespace {

std::int64_t Size(std::span<const float> x) {
  return static_cast<std::int64_t>(x.size());
}

}  // namespace

void RmsNorm(std::span<const float> x, std::span<const float> weight, float eps,
             std::span<float> y) {
  TATARA_CHECK(x.size() == y.size() && (weight.empty() || weight.size() == x.size()));
  const FpGuard guard;
  ActiveFloatKernels().rms_norm(x.data(), weight.empty() ? nullptr : weight.data(), Size(x), eps,
                                y.data());
}

void LayerNorm(std::span<const float> x, std::span<const float> weight, std::span<const float> bias,
               float eps, std::span<float> y) {
  TATARA_CHECK(x.size() == y.size() && weight.size() == x.size() &&
               (bias.empty() || bias.size() == x.size()));
  const FpGuard guard;
  ActiveFloatKernels().layer_norm(x.data(), weight.data(), bias.empty() ? nullptr : bias.data(),
                                  Size(x), eps, y.data());
}

void Softmax(std::span<float> x) {
  const FpGuard guard;
  ActiveFloatKernels().softmax(x.data(), Size(x));
}

void Add(std::span<const float> x, std::span<float> y) {
  TATARA_CHECK(x.size() == y.size());
  const FpGuard guard;
  ActiveFloatKernels().add(x.data(), Size(x), y.data());
}

void Scale(float s, std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().scale(s, Size(y), y.data());
}

void AddScaled(float s, std::span<const float> x, std::span<float> y) {
  TATARA_CHECK(x.size() == y.size());
  const FpGuard guard;
  ActiveFloatKernels().add_scaled(s, x.data(), Size(x), y.data());
}

void SiluMul(std::span<const float> gate, std::span<const float> up, std::span<float> y) {
  TATARA_CHECK(gate.size() == y.size() && up.size() == y.size());
  const FpGuard guard;
  ActiveFloatKernels().silu_mul(gate.data(), up.data(), Size(y), y.data());
}

void GeluTanhMul(std::span<const float> gate, std::span<const float> up, std::span<float> y) {
  TATARA_CHECK(gate.size() == y.size() && up.size() == y.size());
  const FpGuard guard;
  ActiveFloatKernels().gelu_tanh_mul(gate.data(), up.data(), Size(y), y.data());
}

void GeluErfMul(std::span<const float> gate, std::span<const float> up, std::span<float> y) {
  TATARA_CHECK(gate.size() == y.size() && up.size() == y.size());
  const FpGuard guard;
  ActiveFloatKernels().gelu_erf_mul(gate.data(), up.data(), Size(y), y.data());
}

void ReluMul(std::span<const float> gate, std::span<const float> up, std::span<float> y) {
  TATARA_CHECK(gate.size() == y.size() && up.size() == y.size());
  const FpGuard guard;
  ActiveFloatKernels().relu_mul(gate.data(), up.data(), Size(y), y.data());
}

void Silu(std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().silu(y.data(), Size(y), y.data());
}

void GeluTanh(std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().gelu_tanh(y.data(), Size(y), y.data());
}

void GeluErf(std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().gelu_erf(y.data(), Size(y), y.data());
}

void Relu(std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().relu(y.data(), Size(y), y.data());
}

void Sigmoid(std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().sigmoid(y.data(), Size(y), y.data());
}

void TanhRow(std::span<float> y) {
  const FpGuard guard;
  ActiveFloatKernels().tanh(y.data(), Size(y), y.data());
}

void SoftCap(float cap, std::span<float> y) {
  TATARA_CHECK(cap > 0);
  const FpGuard guard;
  ActiveFloatKernels().soft_cap(cap, Size(y), y.data());
}

float Max(std::span<const float> x) {
  const FpGuard guard;
  return ActiveFloatKernels().max(x.data(), Size(x));
}

float Sum(std::span<const float> x) {
  const FpGuard guard;
  return ActiveFloatKernels().sum(x.data(), Size(x));
}

float SumOfSquares(std::span<const float> x) {
  const FpGuard guard;
  return ActiveFloatKernels().sum_of_squares(x.data(), Size(x));
}

std::int64_t ArgMax(std::span<const float> x) {
  const FpGuard guard;
  return ActiveFloatKernels().arg_max(x.data(), Size(x));
}

void ExpRowF64(std::span<double> x) {
  const FpGuard guard;
  ActiveFloatKernels().exp_f64(x.data(), static_cast<std::int64_t>(x.size()), x.data());
}

double LogSumExp(std::span<const float> x) {
  const FpGuard guard;
  const auto max = static_cast<double>(ActiveFloatKernels().max(x.data(), Size(x)));
  if (!(max - max == 0)) return max;  // infinite or NaN: nothing to shift by
  double sum = 0;
  double piece[256];
  for (std::size_t i = 0; i < x.size(); i += std::size(piece)) {
    const std::size_t n = std::min(std::size(piece), x.size() - i);
    for (std::size_t j = 0; j < n; ++j) piece[j] = static_cast<double>(x[i + j]) - max;
    ActiveFloatKernels().exp_f64(piece, static_cast<std::int64_t>(n), piece);
    for (std::size_t j = 0; j < n; ++j) sum += piece[j];
  }
  return max + LogF64(sum);
}

void RopeInverseFrequencies(double base, int n_rot, std::span<const float> factors,
                            double linear_scale, std::span<double> out) {
  const auto n_pairs = static_cast<std::size_t>(n_rot / 2);
  TATARA_CHECK(n_rot >= 0 && out.size() == n_pairs &&
               (factors.empty() || factors.size() == n_pairs));
  const FpGuard guard;
  for (std::size_t i = 0; i < n_pairs; ++i) {
    double frequency = PowF64(base, -2.0 * static_cast<double>(i) / static_cast<double>(n_rot));
    if (!factors.empty()) frequency = frequency / static_cast<double>(factors[i]);
    out[i] = frequency / linear_scale;
  }
}

void RopeTable(std::int64_t position, std::span<const double> inverse_frequencies,
               std::span<float> cosines, std::span<float> sines) {
  TATARA_CHECK(cosines.size() == inverse_frequencies.size() && sines.size() == cosines.size());
  const FpGuard guard;
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    const double angle = static_cast<double>(position) * inverse_frequencies[i];
    cosines[i] = static_cast<float>(CosF64(angle));
    sines[i] = static_cast<float>(SinF64(angle));
  }
}

void Rope(std::span<float> x, int n_heads, int head_dim, RopeLayout layout,
          std::span<const float> cosines, std::span<const float> sines) {
  const auto n_pairs = static_cast<std::int64_t>(cosines.size());
  TATARA_CHECK(n_heads >= 0 && head_dim >= 0 && sines.size() == cosines.size() &&
               2 * n_pairs <= head_dim);
  TATARA_CHECK(Size(x) == static_cast<std::int64_t>(n_heads) * head_dim);
  const FpGuard guard;
  const FloatKernels& kernels = ActiveFloatKernels();
  const auto rotate = layout == RopeLayout::kPairs ? kernels.rope_pairs : kernels.rope_halves;
  for (int head = 0; head < n_heads; ++head) {
    rotate(x.data() + static_cast<std::int64_t>(head) * head_dim, n_pairs, cosines.data(),
           sines.data());
  }
}

}  // namespace tatara::numerics
