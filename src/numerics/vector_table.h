// The table of the shared vector kernels: TATARA_VECTOR_KERNELS initialises a FloatKernels.
// Included by the per-ISA files after their lanes.h; internal linkage.
#pragma once

#include "float_kernels.h"
#include "vector_attention.h"
#include "vector_exp_f64.h"
#include "vector_panel.h"
#include "vector_rows.h"

#define TATARA_VECTOR_KERNELS         \
  {                                   \
      .panel_product = PanelProduct,  \
      .exp = ExpRow,                  \
      .tanh = TanhRow,                \
      .erf = ErfRow,                  \
      .exp_f64 = ExpRowF64,           \
      .rms_norm = RmsNorm,            \
      .layer_norm = LayerNorm,        \
      .softmax = Softmax,             \
      .add = AddRow,                  \
      .scale = ScaleRow,              \
      .add_scaled = AddScaledRow,     \
      .silu_mul = SiluMul,            \
      .gelu_tanh_mul = GeluTanhMul,   \
      .gelu_erf_mul = GeluErfMul,     \
      .relu_mul = ReluMul,            \
      .sigmoid = SigmoidRow,          \
      .silu = SiluRow,                \
      .gelu_tanh = GeluTanhRow,       \
      .gelu_erf = GeluErfRow,         \
      .relu = ReluRow,                \
      .soft_cap = SoftCapRow,         \
      .max = Max,                     \
      .sum = Sum,                     \
      .sum_of_squares = SumOfSquares, \
      .arg_max = ArgMax,              \
      .rope_pairs = RopePairs,        \
      .rope_halves = RopeHalves,      \
      .attention_rows = kTileRows,    \
      .f16_to_f32 = WidenRow,         \
      .f32_to_f16 = NarrowRow,        \
      .attention_tile = AttendTile,   \
      .attention_merge = MergeTile,   \
      .attention_finish = FinishRow,  \
  }
