// The oracle's row operations (ops.h).
#include <cmath>
#include <limits>

#include "function_constants.h"
#include "scalar/oracle.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics::oracle {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

float SiluOf(float x) {
  return x / (1.0F + Exp(-x));
}
float GeluTanhOf(float x) {
  return 0.5F * x * (1.0F + Tanh(kGeluC * std::fma(kGeluK * x * x, x, x)));
}
float GeluErfOf(float x) {
  return 0.5F * x * (1.0F + Erf(x * kSqrtHalf));
}
float ReluOf(float x) {
  return x < 0 ? 0.0F : x;
}

void Rotate(float& a, float& b, float cosine, float sine) {
  const float rotated_a = std::fma(a, cosine, -(b * sine));
  const float rotated_b = std::fma(a, sine, b * cosine);
  a = rotated_a;
  b = rotated_b;
}

}  // namespace

float TreeSum(float (&lanes)[16]) {
  for (int step = 8; step > 0; step /= 2) {
    for (int j = 0; j < step; ++j) lanes[j] += lanes[j + step];
  }
  return lanes[0];
}

float Sum(const float* x, std::int64_t n) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i % 16] += x[i];
  return TreeSum(lanes);
}

float SumOfSquares(const float* x, std::int64_t n) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
  return TreeSum(lanes);
}

float Max(const float* x, std::int64_t n) {
  float lanes[16];
  for (float& lane : lanes) lane = -kInfinity;
  bool nan = false;
  for (std::int64_t i = 0; i < n; ++i) {
    nan |= x[i] != x[i];
    if (x[i] > lanes[i % 16]) lanes[i % 16] = x[i];
  }
  for (int step = 8; step > 0; step /= 2) {
    for (int j = 0; j < step; ++j) {
      if (lanes[j + step] > lanes[j]) lanes[j] = lanes[j + step];
    }
  }
  return nan ? kNaN : lanes[0];
}

std::int64_t ArgMax(const float* x, std::int64_t n) {
  std::int64_t best = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    if (x[i] != x[i]) continue;
    if (best < 0 || x[i] > x[best]) best = i;
  }
  return best;
}

void RmsNorm(const float* x, const float* weight, std::int64_t n, float eps, float* y) {
  const float r = 1.0F / std::sqrt(SumOfSquares(x, n) / static_cast<float>(n) + eps);
  for (std::int64_t i = 0; i < n; ++i) {
    const float scaled = x[i] * r;
    y[i] = weight == nullptr ? scaled : scaled * weight[i];
  }
}

void LayerNorm(const float* x, const float* weight, const float* bias, std::int64_t n, float eps,
               float* y) {
  const float mean = Sum(x, n) / static_cast<float>(n);
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const float deviation = x[i] - mean;
    lanes[i % 16] = std::fma(deviation, deviation, lanes[i % 16]);
  }
  const float r = 1.0F / std::sqrt(TreeSum(lanes) / static_cast<float>(n) + eps);
  for (std::int64_t i = 0; i < n; ++i) {
    const float scaled = (x[i] - mean) * r * weight[i];
    y[i] = bias == nullptr ? scaled : scaled + bias[i];
  }
}

void Softmax(float* x, std::int64_t n) {
  const float max = Max(x, n);
  for (std::int64_t i = 0; i < n; ++i) x[i] = Exp(x[i] - max);
  const float sum = Sum(x, n);
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] / sum;
}

void Add(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = y[i] + x[i];
}

void Scale(float s, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = y[i] * s;
}

void AddScaled(float s, const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = std::fma(s, x[i], y[i]);
}

void SiluMul(const float* gate, const float* up, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = SiluOf(gate[i]) * up[i];
}
void GeluTanhMul(const float* gate, const float* up, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = GeluTanhOf(gate[i]) * up[i];
}
void GeluErfMul(const float* gate, const float* up, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = GeluErfOf(gate[i]) * up[i];
}
void ReluMul(const float* gate, const float* up, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = ReluOf(gate[i]) * up[i];
}

void Sigmoid(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = 1.0F / (1.0F + Exp(-x[i]));
}
void Silu(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = SiluOf(x[i]);
}
void GeluTanh(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = GeluTanhOf(x[i]);
}
void GeluErf(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = GeluErfOf(x[i]);
}
void Relu(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = ReluOf(x[i]);
}
void SoftCap(float cap, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = cap * Tanh(y[i] / cap);
}

void RopePairs(float* x, std::int64_t n_pairs, const float* cosines, const float* sines) {
  for (std::int64_t i = 0; i < n_pairs; ++i) Rotate(x[2 * i], x[2 * i + 1], cosines[i], sines[i]);
}

void RopeHalves(float* x, std::int64_t n_pairs, const float* cosines, const float* sines) {
  for (std::int64_t i = 0; i < n_pairs; ++i) Rotate(x[i], x[i + n_pairs], cosines[i], sines[i]);
}

}  // namespace tatara::numerics::oracle
