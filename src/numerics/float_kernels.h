// The table of f32 kernels: one per instruction set, all giving the same bits. The scalar ones are
// the oracle, written as plainly as the contract reads (ops.h and README.md state the orders).
//
// This header is included by files compiled with extra ISA flags: declarations and plain structs
// only.
#pragma once

#include <cstdint>

namespace tatara::numerics {

// Rows of one key-value head against one tile of 64 keys in f32 (rule 5). Row r sees the tile's
// keys lo[r] .. hi[r] - 1; a row with hi <= lo is left alone. What a row does not see may hold
// anything.
struct AttentionTile {
  static constexpr int kKeys = 64;
  const float* k = nullptr;  // head_dim x 64
  const float* v = nullptr;  // 64 x value_stride
  int head_dim = 0;
  int value_stride = 0;  // value_dim rounded up to a multiple of 16; the padding holds zeros
  float scale = 1;
  float soft_cap = 0;  // 0: none
  int n_rows = 0;
  const float* q = nullptr;  // n_rows x head_dim
  const std::int32_t* lo = nullptr;
  const std::int32_t* hi = nullptr;
  // ALiBi where not null: n_rows slopes, and the rows' positions less that of the tile's first key,
  // whole numbers below 2^24.
  const float* slopes = nullptr;
  const float* positions = nullptr;
};

// The tile's own results: m and l of n_rows, o of n_rows x value_stride.
struct TileResult {
  float* m = nullptr;
  float* l = nullptr;
  float* o = nullptr;
};

struct FloatKernels {
  // Rule 2 for one group of 16 outputs: acc[t][r] = fma(panel[k][r], x[t][k], acc[t][r]), k
  // ascending. panel: n_k x 16, any alignment; x: n_tokens rows at x_stride; acc: n_tokens rows of
  // 16 at acc_stride.
  void (*panel_product)(const float* panel, std::int64_t n_k, const float* x, std::int64_t x_stride,
                        std::int64_t n_tokens, float* acc, std::int64_t acc_stride);

  // y[i] = Exp(x[i]), Tanh(x[i]), Erf(x[i]) of functions.h; y may be x.
  void (*exp)(const float* x, std::int64_t n, float* y);
  void (*tanh)(const float* x, std::int64_t n, float* y);
  void (*erf)(const float* x, std::int64_t n, float* y);
  void (*exp_f64)(const double* x, std::int64_t n, double* y);  // ExpF64

  // ops.h, with n values; weight may be null.
  void (*rms_norm)(const float* x, const float* weight, std::int64_t n, float eps, float* y);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, std::int64_t n,
                     float eps, float* y);  // weight is there, bias may be null
  void (*softmax)(float* x, std::int64_t n);
  void (*add)(const float* x, std::int64_t n, float* y);
  void (*scale)(float s, std::int64_t n, float* y);
  void (*add_scaled)(float s, const float* x, std::int64_t n, float* y);
  void (*silu_mul)(const float* gate, const float* up, std::int64_t n, float* y);
  void (*gelu_tanh_mul)(const float* gate, const float* up, std::int64_t n, float* y);
  void (*gelu_erf_mul)(const float* gate, const float* up, std::int64_t n, float* y);
  void (*relu_mul)(const float* gate, const float* up, std::int64_t n, float* y);
  void (*sigmoid)(const float* x, std::int64_t n, float* y);
  void (*silu)(const float* x, std::int64_t n, float* y);
  void (*gelu_tanh)(const float* x, std::int64_t n, float* y);
  void (*gelu_erf)(const float* x, std::int64_t n, float* y);
  void (*relu)(const float* x, std::int64_t n, float* y);
  void (*soft_cap)(float cap, std::int64_t n, float* y);
  float (*max)(const float* x, std::int64_t n);
  float (*sum)(const float* x, std::int64_t n);
  float (*sum_of_squares)(const float* x, std::int64_t n);
  std::int64_t (*arg_max)(const float* x, std::int64_t n);
  // Rotates the first 2 * n_pairs values of one head.
  void (*rope_pairs)(float* x, std::int64_t n_pairs, const float* cosines, const float* sines);
  void (*rope_halves)(float* x, std::int64_t n_pairs, const float* cosines, const float* sines);

  int attention_rows;  // rows that the tile's kernel works on at once
  void (*f16_to_f32)(const std::uint16_t* x, std::int64_t n, float* y);
  void (*f32_to_f16)(const float* x, std::int64_t n, std::uint16_t* y);

  // At most attention_rows rows a call.
  void (*attention_tile)(const AttentionTile& tile, const TileResult& result);
  // Merges one tile's results into the running ones of n_rows rows, skipping rows with hi <= lo.
  void (*attention_merge)(const AttentionTile& tile, const TileResult& from,
                          const TileResult& into);
  // out[i] = o[i] / l.
  void (*attention_finish)(const float* o, float l, std::int64_t n, float* out);
};

extern const FloatKernels kFloatKernelsScalar;
extern const FloatKernels kFloatKernelsAvx2;
extern const FloatKernels kFloatKernelsAvx512;

}  // namespace tatara::numerics
