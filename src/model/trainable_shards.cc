// Gradients of several shards in one call: each sum over rows is a chain for each shard, added over
// the tree of neighbours while it is small (numerics/product.h), so that a gradient is written
// once.
#include <algorithm>
#include <numeric>

#include "trainable_decoder.h"

namespace tatara::model {

void TrainableDecoder::GradientProduct(const Call& call, const numerics::ProductSize& size,
                                       const numerics::MatrixView& a, const numerics::MatrixView& b,
                                       float* c, std::int64_t c_stride) {
  if (call.shard_ends.empty()) {
    numerics::Product(size, a, b, ChainStart::kFromOutput, c, c_stride, products_, call.pool);
  } else if (call.shard_ends.size() == 1) {
    numerics::Product(size, a, b, ChainStart::kFromZero, c, c_stride, products_, call.pool);
  } else {
    numerics::ProductOfShards(size, a, b, {.ends = call.shard_ends}, c, c_stride, products_,
                              call.pool);
  }
}

void TrainableDecoder::FindOccurrences(std::span<const std::int32_t> values, Occurrences& found) {
  found.rows.resize(values.size());
  std::iota(found.rows.begin(), found.rows.end(), 0);
  const auto value = [&](std::int64_t row) { return values[static_cast<std::size_t>(row)]; };
  std::ranges::stable_sort(found.rows, {}, value);
  found.distinct.clear();
  found.starts.clear();
  for (std::size_t i = 0; i < found.rows.size(); ++i) {
    const std::int32_t here = value(found.rows[i]);
    if (!found.distinct.empty() && found.distinct.back() == here) continue;
    found.distinct.push_back(here);
    found.starts.push_back(i);
  }
  found.starts.push_back(found.rows.size());
}

// table[value] becomes the sum over the shards of: the rows of dx_ where the value occurs, from +0,
// and then the shard's kept row, where there are some.
void TrainableDecoder::SumOccurrences(const Call& call, const Occurrences& found, const float* kept,
                                      float* table) {
  const std::int64_t n = shape_.n_embd;
  const std::int64_t n_kept = std::ssize(found.distinct);
  call.pool.For(n_kept, [&](std::int64_t i, int) {
    const auto at = static_cast<std::size_t>(i);
    const std::span<const std::int64_t> rows(found.rows.data() + found.starts[at],
                                             found.starts[at + 1] - found.starts[at]);
    for (std::int64_t first = 0; first < n; first += kColumnsOfAnItem) {
      const auto size = static_cast<std::size_t>(std::min(kColumnsOfAnItem, n - first));
      SumShards(call, static_cast<std::int64_t>(size), table + found.distinct[at] * n + first,
                [&](std::int64_t shard, std::int64_t from, std::int64_t end, float* sums) {
                  for (const std::int64_t row : rows) {
                    if (row < from || row >= end) continue;
                    numerics::Add({dx_.data() + row * n + first, size}, {sums, size});
                  }
                  if (kept == nullptr) return;
                  numerics::Add({kept + (shard * n_kept + i) * n + first, size}, {sums, size});
                });
    }
  });
}

// What no row has: +0, or with a tied head what HeadGradient wrote.
void TrainableDecoder::EmbedBackwardOfShards(const Call& call) {
  const auto clear = [&](std::int64_t table, std::int64_t n_rows) {
    call.pool.For(n_rows, [&](std::int64_t row, int) {
      std::fill_n(call.gradient + table + row * shape_.n_embd, shape_.n_embd, 0.0F);
    });
  };
  if (!shape_.tied) {
    FindOccurrences(call.batch.tokens, tokens_at_);
    clear(layout_.embedding, shape_.n_vocab);
  }
  SumOccurrences(call, tokens_at_, shape_.tied ? kept_.data() : nullptr,
                 call.gradient + layout_.embedding);
  if (layout_.positions == kNone) return;
  positions_.resize(static_cast<std::size_t>(call.n_rows));
  for (std::int64_t row = 0; row < call.n_rows; ++row) {
    positions_[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(Position(call, row));
  }
  FindOccurrences(positions_, positions_at_);
  clear(layout_.positions, shape_.n_ctx);
  SumOccurrences(call, positions_at_, nullptr, call.gradient + layout_.positions);
}

}  // namespace tatara::model
