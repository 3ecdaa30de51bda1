#include "prepared_rows.h"

#include <algorithm>

#include "tatara/base/check.h"

namespace tatara::numerics {
namespace {

// Values one item of work rounds: some microseconds.
constexpr std::int64_t kItemValues = 16'384;

}  // namespace

ActivationRows::ActivationRows() : state_(std::make_unique<State>()) {}
ActivationRows::~ActivationRows() = default;
ActivationRows::ActivationRows(ActivationRows&&) noexcept = default;
ActivationRows& ActivationRows::operator=(ActivationRows&&) noexcept = default;

void ActivationRows::Set(const float* x, std::int64_t n_rows, std::int64_t n_cols) {
  TATARA_CHECK(n_rows >= 0 && n_cols >= 0);
  state_->x = x;
  state_->n_rows = n_rows;
  state_->n_cols = n_cols;
  state_->segments.clear();
  state_->by_32.made_by = nullptr;
  state_->by_256.made_by = nullptr;
}

void ActivationRows::SetSegments(const float* x, std::span<const std::int64_t> ends,
                                 std::int64_t n_cols) {
  TATARA_CHECK(!ends.empty());
  Set(x, ends.back(), n_cols);
  // At most one a row, as a rule: how rows fall into segments then asks for no memory.
  const auto n_rows = static_cast<std::size_t>(ends.back());
  state_->segments.reserve(std::max(ends.size(), n_rows));
  state_->token_groups.clear();
  state_->token_groups.reserve(n_rows);
  std::int64_t first = 0;
  for (const std::int64_t end : ends) {
    TATARA_CHECK(end >= first);
    state_->segments.push_back({first, end - first});
    for (; first < end; first += std::min<std::int64_t>(kTokenGroup, end - first)) {
      state_->token_groups.push_back({first, std::min<std::int64_t>(kTokenGroup, end - first)});
    }
  }
}

void Prepare(ActivationRows::State& state, int block, bool wide, const QuantKernels& kernels,
             ThreadPool& pool) {
  PreparedRows& rows = state.OfBlock(block);
  if (rows.made_by == &kernels && (rows.has_wide || !wide)) return;
  const std::int64_t n_k = state.n_cols;
  const std::int64_t n_blocks = n_k / block;
  const auto n_rows = static_cast<std::size_t>(state.n_rows);
  rows.q.Grow(n_rows * n_k);
  rows.d.Grow(n_rows * n_blocks * sizeof(float));
  rows.sums.Grow(n_rows * n_blocks * rows.sum_words * sizeof(std::int32_t));
  if (wide) rows.wide.Grow(n_rows * n_k * sizeof(std::int16_t));

  const std::int64_t n_groups = state.n_token_groups();
  const std::int64_t per_item = std::max<std::int64_t>(1, kItemValues / (kTokenGroup * n_k + 1));
  pool.For((n_groups + per_item - 1) / per_item, [&](std::int64_t item, int) {
    const std::int64_t end = std::min(n_groups, (item + 1) * per_item);
    for (std::int64_t group = item * per_item; group < end; ++group) {
      const auto [first, width] = state.TokenGroup(group);
      kernels.quantise({.x = state.x + first * n_k,
                        .x_stride = n_k,
                        .n_k = n_k,
                        .width = static_cast<int>(width),
                        .block = block,
                        .q = rows.q.as<std::int8_t>() + first * n_k,
                        .d = rows.d.as<float>() + first * n_blocks,
                        .sums = rows.sums.as<std::int32_t>() + first * n_blocks * rows.sum_words,
                        .wide = wide ? rows.wide.as<std::int16_t>() + first * n_k : nullptr});
    }
  });
  rows.made_by = &kernels;
  rows.has_wide = wide;
}

}  // namespace tatara::numerics
