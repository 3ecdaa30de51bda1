// What ActivationRows holds: the borrowed f32 rows and their 8-bit forms (quant_kernels.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

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

// Consecutive rows.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t n = 0;
};

struct ActivationRows::State {
  const float* x = nullptr;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  std::vector<RowRange> segments;      // empty: one, of all rows
  std::vector<RowRange> token_groups;  // of all segments; a group never crosses two
  // Memory of a product over segments: where each job's items end, and how many groups an item has.
  std::vector<std::int64_t> items_end, groups_of_item;
  PreparedRows by_32{.block = 32, .sum_words = kSumWords32};
  PreparedRows by_256{.block = 256, .sum_words = kSumWords256};

  PreparedRows& OfBlock(int block) { return block == 32 ? by_32 : by_256; }
  std::int64_t n_token_groups() const {
    return segments.empty() ? (n_rows + kTokenGroup - 1) / kTokenGroup
                            : static_cast<std::int64_t>(token_groups.size());
  }
  RowRange TokenGroup(std::int64_t index) const {
    if (!segments.empty()) return token_groups[static_cast<std::size_t>(index)];
    const std::int64_t first = index * kTokenGroup;
    return {first, std::min<std::int64_t>(kTokenGroup, n_rows - first)};
  }
};

// Makes the 8-bit form with these kernels unless it is there.
void Prepare(ActivationRows::State& state, int block, bool wide, const QuantKernels& kernels,
             ThreadPool& pool);

}  // namespace tatara::numerics
