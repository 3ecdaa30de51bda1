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

// Key and counter of Philox, but for the position's part that counts on.
struct DrawnGroups {
  std::uint32_t key[2] = {};
  std::uint32_t purpose = 0, choice = 0;
  std::uint64_t first_group = 0;
};

// Drawn numbers of 16 bits for groups of 128 values: value 8 j + 2 w + h of a group has half h of
// word 16 w + j of its 64 (draw_groups).
struct DrawnDropout {
  const std::uint32_t* words = nullptr;
  std::int64_t first = 0;  // place of x[0] among the groups' values
  std::uint32_t threshold = 0;
  float scale = 1;
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
  // Panels of `width` rows: out[(row / width * n_inner + k) * width + row % width] =
  // data[row * row_stride + k * column_stride], one of the strides 1; +0 for rows that a last panel
  // lacks.
  void (*copy_panels)(const float* data, std::int64_t row_stride, std::int64_t column_stride,
                      std::int64_t n_rows, std::int64_t n_inner, std::int64_t width, float* out);

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

  // x[i] becomes its nearest bf16, whose 16 bits go to stored[i] where that is not null.
  void (*round_bf16)(float* x, std::int64_t n, std::uint16_t* stored);
  void (*load_bf16)(const std::uint16_t* stored, std::int64_t n, float* x);
  // Groups of 64 words: word 16 w + j of group i is word w of the Philox block of the counter's
  // position 16 (first_group + i) + j.
  void (*draw_groups)(const DrawnGroups& from, std::int64_t n_groups, std::uint32_t* words);
  // The upper halves of the bits of x[i] plus 16 bits of words[i], its lower ones or its upper.
  void (*store_drawn_bf16)(const float* x, const std::uint32_t* words, bool upper, std::int64_t n,
                           std::uint16_t* stored);
  // x[i] becomes x[i] * scale where its number is at least the threshold, else +0.
  void (*drop)(const DrawnDropout& drawn, std::int64_t n, float* x);
};

extern const TrainingKernels kTrainingKernelsScalar;
extern const TrainingKernels kTrainingKernelsAvx2;
extern const TrainingKernels kTrainingKernelsAvx512;

}  // namespace tatara::numerics
