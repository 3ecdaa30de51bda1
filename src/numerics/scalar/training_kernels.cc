// The oracle of product.h and training.h: plain loops.
#include "training_kernels.h"

#include <bit>
#include <cmath>

#include "function_constants.h"
#include "scalar/oracle.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/dtype.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics {
namespace {
constexpr int kCopyLanes = 4;  // any processor's
}  // namespace
}  // namespace tatara::numerics

#include "panel_copy.h"

namespace tatara::numerics {
namespace oracle {
namespace {

constexpr int kTileRows = 4;
constexpr int kTileColumns = 16;

// std::fma is the processor's instruction where the function is compiled for it and a function of
// libm elsewhere, a hundred times slower; both round once.
#define TATARA_PRODUCT_TILE_BODY                                                            \
  for (int i = 0; i < n_rows; ++i) {                                                        \
    float sum[kTileColumns];                                                                \
    for (int j = 0; j < kTileColumns; ++j) sum[j] = from_zero ? 0.0F : c[i * c_stride + j]; \
    for (std::int64_t k = 0; k < n_k; ++k) {                                                \
      for (int j = 0; j < kTileColumns; ++j)                                                \
        sum[j] = std::fma(a[k * kTileRows + i], b[k * kTileColumns + j], sum[j]);           \
    }                                                                                       \
    for (int j = 0; j < kTileColumns; ++j) c[i * c_stride + j] = sum[j];                    \
  }

void ProductTileByLibrary(const float* a, const float* b, std::int64_t n_k, int n_rows, float* c,
                          std::int64_t c_stride, bool from_zero) {
  TATARA_PRODUCT_TILE_BODY
}

#if defined(__x86_64__)
[[gnu::target("fma")]] void ProductTileByInstruction(const float* a, const float* b,
                                                     std::int64_t n_k, int n_rows, float* c,
                                                     std::int64_t c_stride, bool from_zero) {
  TATARA_PRODUCT_TILE_BODY
}
#endif

void ProductTile(const float* a, const float* b, std::int64_t n_k, int n_rows, float* c,
                 std::int64_t c_stride, bool from_zero) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma")) {
    return ProductTileByInstruction(a, b, n_k, n_rows, c, c_stride, from_zero);
  }
#endif
  ProductTileByLibrary(a, b, n_k, n_rows, c, c_stride, from_zero);
}

float Dot(const float* a, const float* b, std::int64_t n) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i) lanes[i % 16] = std::fma(a[i], b[i], lanes[i % 16]);
  return TreeSum(lanes);
}

float SumOfSquaredDeviations(const float* x, std::int64_t n, float mean) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const float deviation = x[i] - mean;
    lanes[i % 16] = std::fma(deviation, deviation, lanes[i % 16]);
  }
  return TreeSum(lanes);
}

void ExpShifted(const float* x, float shift, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = Exp(x[i] - shift);
}

void NormBackward(const NormBackwardRow& row, std::int64_t n) {
  float plain[16] = {}, weighted[16] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = row.dy[i] * row.weight[i];
    const float normed = (row.x[i] - row.mean) * row.r;
    plain[i % 16] += g;
    weighted[i % 16] = std::fma(g, normed, weighted[i % 16]);
  }
  const auto count = static_cast<float>(n);
  const float a = row.centred ? TreeSum(plain) / count : 0.0F;
  const float b = TreeSum(weighted) / count;
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = row.dy[i] * row.weight[i];
    const float normed = (row.x[i] - row.mean) * row.r;
    row.dx[i] = std::fma(row.r, std::fma(-normed, b, g - a), row.dx[i]);
  }
}

void NormWeightGradient(const float* x, const float* dy, float mean, float r, std::int64_t n,
                        float* weight) {
  for (std::int64_t i = 0; i < n; ++i) weight[i] = std::fma(dy[i], (x[i] - mean) * r, weight[i]);
}

struct Slope {
  float value, slope;
};

Slope SiluSlope(float x) {
  const float s = 1.0F / (1.0F + Exp(-x));
  const float value = x / (1.0F + Exp(-x));
  return {value, s * std::fma(x, 1.0F - s, 1.0F)};
}
Slope GeluTanhSlope(float x) {
  const float square = kGeluK * x * x;
  const float t = Tanh(kGeluC * std::fma(square, x, x));
  const float half = 0.5F * (1.0F + t);
  const float rate = kGeluC * std::fma(3.0F, square, 1.0F);
  const float bend = 0.5F * x * std::fma(-t, t, 1.0F);
  return {0.5F * x * (1.0F + t), std::fma(bend, rate, half)};
}
Slope GeluErfSlope(float x) {
  const float e = Erf(x * kSqrtHalf);
  const float density = kInverseSqrtTwoPi * Exp(-0.5F * x * x);
  return {0.5F * x * (1.0F + e), std::fma(x, density, 0.5F * (1.0F + e))};
}

template <Slope (*kFunction)(float)>
void ActivationBackward(const float* x, const float* up, const float* dy, std::int64_t n, float* dx,
                        float* dup) {
  for (std::int64_t i = 0; i < n; ++i) {
    const Slope f = kFunction(x[i]);
    const float d = dy[i];
    if (up == nullptr) {
      dx[i] = d * f.slope;
    } else {
      const float u = up[i];
      dx[i] = d * u * f.slope;
      dup[i] = d * f.value;
    }
  }
}

void SoftmaxBackward(const float* p, float d, float scale, std::int64_t n, float* dp) {
  for (std::int64_t i = 0; i < n; ++i) dp[i] = p[i] * (dp[i] - d) * scale;
}

void AdamW(const AdamWFactors& f, const float* gradient, std::int64_t n, float* weight,
           float* first, float* second) {
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * f.gradient_scale;
    first[i] = std::fma(f.beta1, first[i], f.one_minus_beta1 * g);
    second[i] = std::fma(f.beta2, second[i], f.one_minus_beta2 * g * g);
    const float root = std::sqrt(second[i] * f.correction2) + f.eps;
    const float step = first[i] * f.correction1 / root;
    weight[i] = std::fma(-f.learning_rate, step, weight[i] * f.keep);
  }
}

void RoundBF16(float* x, std::int64_t n, std::uint16_t* stored) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint16_t half = F32ToBF16(x[i]);
    x[i] = BF16ToF32(half);
    if (stored != nullptr) stored[i] = half;
  }
}

void LoadBF16(const std::uint16_t* stored, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = BF16ToF32(stored[i]);
}

void DrawGroups(const DrawnGroups& from, std::int64_t n_groups, std::uint32_t* words) {
  for (std::int64_t i = 0; i < n_groups; ++i) {
    for (std::uint64_t j = 0; j < 16; ++j) {
      const std::uint64_t position = 16 * (from.first_group + static_cast<std::uint64_t>(i)) + j;
      const auto block =
          Philox4x32({from.purpose, from.choice, static_cast<std::uint32_t>(position),
                      static_cast<std::uint32_t>(position >> 32)},
                     {from.key[0], from.key[1]});
      for (std::uint64_t w = 0; w < 4; ++w)
        words[64 * i + static_cast<std::int64_t>(16 * w + j)] = block[w];
    }
  }
}

void StoreDrawnBF16(const float* x, const std::uint32_t* words, bool upper, std::int64_t n,
                    std::uint16_t* stored) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    const std::uint32_t drawn = upper ? words[i] >> 16 : words[i] & 0xffff;
    stored[i] = x[i] != x[i] ? F32ToBF16(x[i]) : static_cast<std::uint16_t>((bits + drawn) >> 16);
  }
}

void Drop(const DrawnDropout& drawn, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t group = (drawn.first + i) / 128, at = (drawn.first + i) % 128;
    const std::uint32_t word = drawn.words[64 * group + 16 * (at % 8 / 2) + at / 8];
    const std::uint32_t number = at % 2 == 0 ? word & 0xffff : word >> 16;
    x[i] = number >= drawn.threshold ? x[i] * drawn.scale : 0.0F;
  }
}

}  // namespace
}  // namespace oracle

const TrainingKernels kTrainingKernelsScalar = {
    .product_tile = oracle::ProductTile,
    .tile_rows = oracle::kTileRows,
    .tile_columns = oracle::kTileColumns,
    .tile_row_step = 1,
    .copy_panels = CopyPanels,
    .dot = oracle::Dot,
    .sum_of_squared_deviations = oracle::SumOfSquaredDeviations,
    .exp_shifted = oracle::ExpShifted,
    .norm_backward = oracle::NormBackward,
    .norm_weight_gradient = oracle::NormWeightGradient,
    .silu_backward = oracle::ActivationBackward<oracle::SiluSlope>,
    .gelu_tanh_backward = oracle::ActivationBackward<oracle::GeluTanhSlope>,
    .gelu_erf_backward = oracle::ActivationBackward<oracle::GeluErfSlope>,
    .softmax_backward = oracle::SoftmaxBackward,
    .adamw = oracle::AdamW,
    .round_bf16 = oracle::RoundBF16,
    .load_bf16 = oracle::LoadBF16,
    .draw_groups = oracle::DrawGroups,
    .store_drawn_bf16 = oracle::StoreDrawnBF16,
    .drop = oracle::Drop,
};

}  // namespace tatara::numerics
