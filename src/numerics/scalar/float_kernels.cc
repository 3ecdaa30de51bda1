// The oracle's table: plain loops in the order the contract states.
#include "float_kernels.h"

#include <cmath>

#include "scalar/oracle.h"
#include "tatara/numerics/dtype.h"
#include "tatara/numerics/functions.h"

namespace tatara::numerics {
namespace {

void PanelProduct(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                  std::int64_t n_tokens, float* acc, std::int64_t acc_stride) {
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    for (int r = 0; r < 16; ++r) {
      float sum = acc[t * acc_stride + r];
      for (std::int64_t k = 0; k < n_k; ++k) {
        sum = std::fma(panel[k * 16 + r], x[t * x_stride + k], sum);
      }
      acc[t * acc_stride + r] = sum;
    }
  }
}

void ExpRow(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = Exp(x[i]);
}
void TanhRow(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = Tanh(x[i]);
}
void ErfRow(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = Erf(x[i]);
}
void ExpRowF64(const double* x, std::int64_t n, double* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = ExpF64(x[i]);
}
void WidenRow(const std::uint16_t* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = F16ToF32(x[i]);
}
void NarrowRow(const float* x, std::int64_t n, std::uint16_t* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = F32ToF16(x[i]);
}

}  // namespace

const FloatKernels kFloatKernelsScalar = {
    .panel_product = PanelProduct,
    .exp = ExpRow,
    .tanh = TanhRow,
    .erf = ErfRow,
    .exp_f64 = ExpRowF64,
    .rms_norm = oracle::RmsNorm,
    .layer_norm = oracle::LayerNorm,
    .softmax = oracle::Softmax,
    .add = oracle::Add,
    .scale = oracle::Scale,
    .add_scaled = oracle::AddScaled,
    .silu_mul = oracle::SiluMul,
    .gelu_tanh_mul = oracle::GeluTanhMul,
    .gelu_erf_mul = oracle::GeluErfMul,
    .relu_mul = oracle::ReluMul,
    .sigmoid = oracle::Sigmoid,
    .silu = oracle::Silu,
    .gelu_tanh = oracle::GeluTanh,
    .gelu_erf = oracle::GeluErf,
    .relu = oracle::Relu,
    .soft_cap = oracle::SoftCap,
    .max = oracle::Max,
    .sum = oracle::Sum,
    .sum_of_squares = oracle::SumOfSquares,
    .arg_max = oracle::ArgMax,
    .rope_pairs = oracle::RopePairs,
    .rope_halves = oracle::RopeHalves,
    .attention_rows = 8,
    .f16_to_f32 = WidenRow,
    .f32_to_f16 = NarrowRow,
    .attention_tile = oracle::AttendTile,
    .attention_merge = oracle::MergeTile,
    .attention_finish = oracle::FinishRow,
};

}  // namespace tatara::numerics
