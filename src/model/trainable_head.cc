// The head where its own weights get no gradient: a row without a target adds no loss and sends
// nothing back, so only the others are multiplied. Of questions and answers, where the questions do
// not count, that is most of the head's work. (Where the head trains, rows without a target stay in
// the sums over rows: leaving them out could turn a +0 into a -0.)
#include <algorithm>

#include "tatara/base/check.h"
#include "trainable_decoder.h"

namespace tatara::model {

// Rows that count, ascending; `to_shard` is each one's shard.
void TrainableDecoder::FindTargets(const Call& call) {
  target_rows_.clear();
  target_shards_.clear();
  std::size_t shard = 0;
  for (std::int64_t row = 0; row < call.n_rows; ++row) {
    while (!call.shard_ends.empty() && row >= call.shard_ends[shard]) ++shard;
    if (call.batch.targets[static_cast<std::size_t>(row)] < 0) continue;
    target_rows_.push_back(row);
    target_shards_.push_back(shard);
  }
}

// One row of logits_: its loss, and with `backward` its gradient in their place.
double TrainableDecoder::LossOfRow(std::int64_t row, std::int32_t target, bool backward) {
  const std::span<float> logits = Row(logits_, row, shape_.n_vocab);
  TATARA_CHECK(target < shape_.n_vocab);
  if (!backward) return numerics::CrossEntropyLoss(logits, target);
  const double loss = numerics::CrossEntropy(logits, target);
  const auto cap = static_cast<float>(shape_.logit_cap);
  if (cap == 0) return loss;
  const std::span<const float> capped = Row(std::as_const(capped_), row, shape_.n_vocab);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float t = capped[i] / cap;
    logits[i] *= 1.0F - t * t;
  }
  return loss;
}

void TrainableDecoder::HeadOfTargets(const Call& call, std::span<double> losses, Floats* dx) {
  const std::int64_t n = shape_.n_embd, n_vocab = shape_.n_vocab;
  FindTargets(call);
  if (dx != nullptr) {
    ForRows(call, [&](std::int64_t row) { std::ranges::fill(Row(*dx, row, n), 0.0F); });
  }
  const auto n_targets = std::ssize(target_rows_);
  const std::int64_t n_rows_max = HeadRows(n_vocab);
  for (std::int64_t first = 0; first < n_targets; first += n_rows_max) {
    const std::int64_t n_rows = std::min(n_rows_max, n_targets - first);
    const auto row_of = [&](std::int64_t i) {
      return target_rows_[static_cast<std::size_t>(first + i)];
    };
    gathered_.resize(static_cast<std::size_t>(n_rows * n));
    logits_.resize(static_cast<std::size_t>(n_rows * n_vocab));
    losses_.assign(static_cast<std::size_t>(n_rows), 0.0);
    for (std::int64_t i = 0; i < n_rows; ++i) {
      std::ranges::copy(Row(std::as_const(final_normed_), row_of(i), n),
                        Row(gathered_, i, n).begin());
    }
    const LinearSize size{n_rows, n, n_vocab};
    MatrixForward(call, layout_.head, size, gathered_.data(), logits_.data(), n_vocab);
    CapLogits(call, n_rows, logits_);
    if (shape_.logit_cap != 0) capped_ = logits_;
    call.pool.For(n_rows, [&](std::int64_t i, int) {
      losses_[static_cast<std::size_t>(i)] =
          LossOfRow(i, call.batch.targets[static_cast<std::size_t>(row_of(i))], dx != nullptr);
    });
    for (std::int64_t i = 0; i < n_rows; ++i) {
      losses[target_shards_[static_cast<std::size_t>(first + i)]] +=
          losses_[static_cast<std::size_t>(i)];
    }
    if (dx == nullptr) continue;
    MatrixBackward(call, layout_.head, size, {logits_.data(), n_vocab, 1}, ChainStart::kFromZero,
                   gathered_.data());
    for (std::int64_t i = 0; i < n_rows; ++i) {
      std::ranges::copy(Row(std::as_const(gathered_), i, n), Row(*dx, row_of(i), n).begin());
    }
  }
}

}  // namespace tatara::model
