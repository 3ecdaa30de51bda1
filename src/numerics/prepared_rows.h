// What ActivationRows holds: the borrowed f32 rows and their 8-bit forms (quant_kernels.h).
#pragma once

#include <cstdint>

#include "aligned_buffer.h"
#include "quant_kernels.h"
#include "tatara/base/thread_pool.h"
#include "tatara/numerics/matrix.h"

namespace tatara::numerics {

struct PreparedRows {
  int block = 0;  // 32 or 256
  int sum_words = 0;
  const QuantKernels* made_by = nullptr;  // null: not made for the present rows
  bool has_wide = false;
  AlignedBuffer q, d, sums, wide;
};

struct ActivationRows::State {
  const float* x = nullptr;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  PreparedRows by_32{.block = 32, .sum_words = kSumWords32};
  PreparedRows by_256{.block = 256, .sum_words = kSumWords256};

  PreparedRows& OfBlock(int block) { return block == 32 ? by_32 : by_256; }
};

// Makes the 8-bit form with these kernels unless it is there.
void Prepare(ActivationRows::State& state, int block, bool wide, const QuantKernels& kernels,
             ThreadPool& pool);

}  // namespace tatara::numerics
