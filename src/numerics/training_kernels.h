// The table of the kernels of product.h and training.h: one per instruction set, all giving the
// same bits. The scalar ones are the oracle. Included by files compiled with extra ISA flags:
// declarations and plain structs only.
#pragma once

#include <cstdint>

namespace tatara::numerics {

// One row of a norm's backward pass (training.h has the formula).
struct NormBackwardRow {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* dy = nullptr;
  float mean = 0;
  float r = 0;
  bool centred = false;
  float* dx = nullptr;  // added to
};

// Coefficients of one step of AdamW (training.h has the formula).
struct AdamWFactors {
  float gradient_scale = 1;
  float beta1 = 0, one_minus_beta1 = 0;
  float beta2 = 0, one_minus_beta2 = 0;
  float correction1 = 1, correction2 = 1;
  float eps = 0;
  float learning_rate = 0;
  float keep = 1;
};

struct TrainingKernels {
  // Rule 2 for one tile of outputs: c[i][j] = chain over k ascending of fma(a[k][i], b[k][j], c),
  // from +0 or from c. a: n_k x tile_rows, b: n_k x tile_columns, both without gaps; c: tile_rows
  // rows of tile_columns at c_stride. Only the first n_rows, a multiple of tile_row_step.
  void (*product_tile)(const float* a, const float* b, std::int64_t n_k, int n_rows, float* c,
                       std::int64_t c_stride, bool from_zero);
  int tile_rows;
  int tile_columns;
  int tile_row_step;  // divides tile_rows

  // Rule 4: lanes by fma(a[i], b[i], .); lanes of d = x[i] - mean by fma(d, d, .).
  float (*dot)(const float* a, const float* b, std::int64_t n);
  float (*sum_of_squared_deviations)(const float* x, std::int64_t n, float mean);
  // y[i] = Exp(x[i] - shift); y may be x.
  void (*exp_shifted)(const float* x, float shift, std::int64_t n, float* y);
  void (*norm_backward)(const NormBackwardRow& row, std::int64_t n);
  // weight[i] = fma(dy[i], (x[i] - mean) * r, weight[i]).
  void (*norm_weight_gradient)(const float* x, const float* dy, float mean, float r, std::int64_t n,
                               float* weight);
  // dx[i] = dy[i] * f'(x[i]); with `up` dx[i] = (dy[i] * up[i]) * f'(x[i]), dup[i] = dy[i] *
  // f(x[i]).
  void (*silu_backward)(const float* x, const float* up, const float* dy, std::int64_t n, float* dx,
                        float* dup);
  void (*gelu_tanh_backward)(const float* x, const float* up, const float* dy, std::int64_t n,
                             float* dx, float* dup);
  void (*gelu_erf_backward)(const float* x, const float* up, const float* dy, std::int64_t n,
                            float* dx, float* dup);
  // dp[i] = (p[i] * (dp[i] - d)) * scale.
  void (*softmax_backward)(const float* p, float d, float scale, std::int64_t n, float* dp);
  void (*adamw)(const AdamWFactors& factors, const float* gradient, std::int64_t n, float* weight,
                float* first, float* second);
};

extern const TrainingKernels kTrainingKernelsScalar;
extern const TrainingKernels kTrainingKernelsAvx2;
extern const TrainingKernels kTrainingKernelsAvx512;

}  // namespace tatara::numerics
