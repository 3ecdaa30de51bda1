// The head with its losses, and the way back.
#include <algorithm>

#include "tatara/base/check.h"
#include "trainable_decoder.h"

namespace tatara::model {

// ---- parts

// Adds to dx, and to the gradients of the norm's weight and bias where they train.
void TrainableDecoder::NormBackward(const Call& call, const NormPart& norm, const Floats& x,
                                    const Floats& dy, const std::vector<NormStatistics>& at,
                                    Floats& dx) {
  const std::int64_t n = shape_.n_embd;
  const std::span<const float> weight(call.weights + norm.weight, static_cast<std::size_t>(n));
  ForRows(call, [&](std::int64_t row) {
    numerics::NormBackward(layout_.norm, Row(x, row, n), weight, Row(dy, row, n),
                           at[static_cast<std::size_t>(row)], Row(dx, row, n));
  });
  if (call.gradient == nullptr) return;
  ForColumns(
      call, n, call.gradient + norm.weight,
      [&](std::int64_t first, std::size_t size, std::int64_t from, std::int64_t end, float* sums) {
        for (std::int64_t row = from; row < end; ++row) {
          numerics::NormWeightGradient({x.data() + row * n + first, size},
                                       {dy.data() + row * n + first, size},
                                       at[static_cast<std::size_t>(row)], {sums, size});
        }
      });
  if (norm.bias == kNone) return;
  SumRows(call, {dy.data(), n, 1}, n, call.gradient + norm.bias);
}

// The gradient of a bias: the sum of dy's rows, n columns of them.
void TrainableDecoder::SumRows(const Call& call, const numerics::MatrixView& dy, std::int64_t n,
                               float* out) {
  ForColumns(
      call, n, out,
      [&](std::int64_t first, std::size_t size, std::int64_t from, std::int64_t end, float* sums) {
        for (std::int64_t row = from; row < end; ++row) {
          numerics::Add({dy.data + row * dy.row_stride + first, size}, {sums, size});
        }
      });
}

// dx from +0 or going on; the gradients of weight and bias, or of the adapter, go on.
void TrainableDecoder::LinearBackward(const Call& call, const LinearPart& part, const Floats& x,
                                      std::int64_t n_inputs, const Floats& dy,
                                      std::int64_t n_columns, ChainStart start, Floats& dx) {
  const numerics::MatrixView d{dy.data() + part.column, n_columns, 1};
  const LinearSize size{call.n_rows, n_inputs, part.n_outputs};
  const LowRankPart* const low = tuning_ == nullptr ? nullptr : tuning_->PartOf(part.weight);
  if (low != nullptr) {
    const numerics::MatrixView du = BeforeMagnitude(call, *low, part.weight, x.data(), d);
    MatrixBackward(call, part.weight, size, du, start, dx.data());
    LowRankBackward(call, *low, x.data(), du, dx.data());
    return;
  }
  MatrixBackward(call, part.weight, size, d, start, dx.data());
  if (call.gradient == nullptr) return;
  GradientProduct(call, {part.n_outputs, n_inputs, call.n_rows}, d.Transposed(),
                  {x.data(), n_inputs, 1}, call.gradient + part.weight, n_inputs);
  if (part.bias != kNone) SumRows(call, d, part.n_outputs, call.gradient + part.bias);
}

void TrainableDecoder::BlockGradient(const Call& call, std::uint32_t site, const NormPart& norm,
                                     const Floats& block, const std::vector<NormStatistics>& at) {
  CopyRows(call, dx_, block_);
  Drop(call, site, block_);
  if (norm.weight == kNone) return;
  std::fill(dblock_.begin(), dblock_.end(), 0.0F);
  NormBackward(call, norm, block, block_, at, dblock_);
  std::swap(block_, dblock_);
}

// The queries' and keys' part of dqkv. Gradients of the weights are chains over tokens ascending,
// inside a token over heads.
void TrainableDecoder::NormHeadsBackward(const Call& call, const LayerParts& w, const LayerState& s,
                                         Floats& dqkv) {
  if (!layout_.qk_norms) return;
  const std::int64_t d = layout_.head_dim, n_raw = layout_.n_q() + layout_.n_kv();
  const int n_heads = shape_.n_heads + shape_.n_kv_heads;
  const auto part_of = [&](int head) { return head < shape_.n_heads ? w.q_norm : w.k_norm; };
  const auto raw = [&](std::int64_t row, int head) {
    return Row(s.qk_raw, row * n_heads + head, d);
  };
  const auto at = [&](std::int64_t row, int head) {
    return s.qk_at[static_cast<std::size_t>(row * n_heads + head)];
  };
  const auto sum = [&](const NormPart& norm, int first_head, int end_head) {
    ForColumns(call, d, call.gradient + norm.weight,
               [&](std::int64_t first, std::size_t size, std::int64_t from, std::int64_t end,
                   float* sums) {
                 for (std::int64_t row = from; row < end; ++row) {
                   const float* const dy = dqkv.data() + row * layout_.n_qkv() + first;
                   for (int head = first_head; head < end_head; ++head) {
                     numerics::NormWeightGradient(
                         raw(row, head).subspan(static_cast<std::size_t>(first), size),
                         {dy + head * d, size}, at(row, head), {sums, size});
                   }
                 }
               });
  };
  if (call.gradient != nullptr) {
    sum(w.q_norm, 0, shape_.n_heads);
    sum(w.k_norm, shape_.n_heads, n_heads);
  }
  std::fill(dqk_raw_.begin(), dqk_raw_.end(), 0.0F);
  ForRows(call, [&](std::int64_t row) {
    const std::span<float> dqk =
        Row(dqkv, row, layout_.n_qkv()).first(static_cast<std::size_t>(n_raw));
    for (int head = 0; head < n_heads; ++head) {
      const auto size = static_cast<std::size_t>(d);
      numerics::NormBackward(NormKind::kRms, raw(row, head),
                             {call.weights + part_of(head).weight, size},
                             dqk.subspan(static_cast<std::size_t>(head) * size, size),
                             at(row, head), Row(dqk_raw_, row * n_heads + head, d));
    }
    const std::span<const float> back = Row(std::as_const(dqk_raw_), row, n_raw);
    std::copy(back.begin(), back.end(), dqk.begin());
  });
}

// ---- the head

void TrainableDecoder::CapLogits(const Call& call, std::int64_t n_rows, std::span<float> logits) {
  if (shape_.logit_cap == 0) return;
  const auto n = static_cast<std::size_t>(shape_.n_vocab);
  call.pool.For(n_rows, [&](std::int64_t row, int) {
    numerics::SoftCap(static_cast<float>(shape_.logit_cap),
                      logits.subspan(static_cast<std::size_t>(row) * n, n));
  });
}

// Some rows at a time, ascending: logits, losses, and with dx the gradient of the normed stream
// into it and that of the head onto its array.
void TrainableDecoder::HeadForwardAndBackward(const Call& call, std::span<double> losses,
                                              Floats* dx) {
  if (call.gradient == nullptr) return HeadOfTargets(call, losses, dx);
  const std::int64_t n = shape_.n_embd, n_vocab = shape_.n_vocab;
  const std::int64_t n_rows_max = call.shard_ends.empty() ? HeadRows(n_vocab) : call.n_rows;
  for (std::int64_t first = 0; first < call.n_rows; first += n_rows_max) {
    const std::int64_t n_rows = std::min(n_rows_max, call.n_rows - first);
    const float* const x = final_normed_.data() + first * n;
    logits_.resize(static_cast<std::size_t>(n_rows * n_vocab));
    losses_.assign(static_cast<std::size_t>(n_rows), 0.0);
    const LinearSize size{n_rows, n, n_vocab};
    MatrixForward(call, layout_.head, size, x, logits_.data(), n_vocab);
    CapLogits(call, n_rows, logits_);
    if (shape_.logit_cap != 0) capped_ = logits_;
    call.pool.For(n_rows, [&](std::int64_t row, int) {
      const std::int32_t target = call.batch.targets[static_cast<std::size_t>(first + row)];
      if (target < 0) {
        std::ranges::fill(Row(logits_, row, n_vocab), 0.0F);
      } else {
        losses_[static_cast<std::size_t>(row)] = LossOfRow(row, target, /*backward=*/true);
      }
    });
    AddLosses(call, first, losses);
    MatrixBackward(call, layout_.head, size, {logits_.data(), n_vocab, 1}, ChainStart::kFromZero,
                   dx->data() + first * n);
    HeadGradient(call, size, x);
  }
}

// Those of the rows from `first` on, ascending, onto their shards'.
void TrainableDecoder::AddLosses(const Call& call, std::int64_t first,
                                 std::span<double> losses) const {
  std::size_t shard = 0;
  for (std::size_t i = 0; i < losses_.size(); ++i) {
    const std::int64_t row = first + static_cast<std::int64_t>(i);
    while (!call.shard_ends.empty() && row >= call.shard_ends[shard]) ++shard;
    losses[shard] += losses_[i];
  }
}

// logits_ have the gradient of the rows of x. The array of a tied head's chain is its own; of
// shards only the rows of the batch's tokens are kept, which the embedding's gradient is added to.
void TrainableDecoder::HeadGradient(const Call& call, const LinearSize& size, const float* x) {
  const std::int64_t n = size.n_inputs, n_vocab = size.n_outputs;
  if (call.shard_ends.empty()) {
    numerics::LinearWeightGradient(size, logits_.data(), x,
                                   call.gradient + (shape_.tied ? layout_.n_values : layout_.head),
                                   products_, call.pool);
    return;
  }
  numerics::ShardSums shards{.ends = call.shard_ends};
  if (shape_.tied) {
    FindOccurrences(call.batch.tokens, tokens_at_);
    shards.n_kept = std::ssize(tokens_at_.distinct);
    places_.assign(static_cast<std::size_t>(n_vocab), -1);
    for (std::int32_t i = 0; i < shards.n_kept; ++i) {
      places_[static_cast<std::size_t>(tokens_at_.distinct[static_cast<std::size_t>(i)])] = i;
    }
    kept_.resize(call.shard_ends.size() * tokens_at_.distinct.size() * static_cast<std::size_t>(n));
    shards.places = places_;
    shards.kept = kept_.data();
    shards.adds_zero = true;  // what the embedding's gradient is for other tokens
  }
  numerics::ProductOfShards({n_vocab, n, size.n_tokens}, {logits_.data(), 1, n_vocab}, {x, n, 1},
                            shards, call.gradient + layout_.head, n, products_, call.pool);
}

// ---- backward: dx_ is the gradient of the stream

void TrainableDecoder::ActivateBackward(const Call& call, const LayerState& s) {
  ForRows(call, [&](std::int64_t row) {
    const std::span<const float> inner = Row(s.inner, row, layout_.n_inner());
    const std::span<const float> dy = Row(std::as_const(dactivated_), row, shape_.n_ff);
    const std::span<float> dinner = Row(dinner_, row, layout_.n_inner());
    if (layout_.gated) {
      numerics::GateBackward(layout_.activation, inner.first(dy.size()), inner.last(dy.size()), dy,
                             dinner.first(dy.size()), dinner.last(dy.size()));
    } else {
      numerics::ActivationBackward(layout_.activation, inner, dy, dinner);
    }
  });
}

void TrainableDecoder::LayerBackward(const Call& call, int layer, const Floats& in,
                                     const LayerState& s) {
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t n = shape_.n_embd;
  BlockGradient(call, static_cast<std::uint32_t>(2 * layer + 2), w.ffn_post_norm, s.ffn_block,
                s.ffn_post_at);
  LinearBackward(call, w.down, s.activated, shape_.n_ff, block_, n, ChainStart::kFromZero,
                 dactivated_);
  ActivateBackward(call, s);
  ChainStart start = ChainStart::kFromZero;
  for (const LinearPart& part : w.inner) {
    LinearBackward(call, part, s.ffn_normed, n, dinner_, layout_.n_inner(), start, dnormed_);
    start = ChainStart::kFromOutput;
  }
  NormBackward(call, w.ffn_norm, s.middle, dnormed_, s.ffn_at, dx_);
  AttentionBackward(call, layer, in, s);
}

void TrainableDecoder::AttentionBackward(const Call& call, int layer, const Floats& in,
                                         const LayerState& s) {
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t n = shape_.n_embd, n_q = layout_.n_q(), n_kv = layout_.n_kv();
  BlockGradient(call, static_cast<std::uint32_t>(2 * layer + 1), w.attn_post_norm, s.attn_block,
                s.attn_post_at);
  LinearBackward(call, w.output, s.attended, n_q, block_, n, ChainStart::kFromZero, dattended_);
  numerics::AttentionOutput output{const_cast<float*>(s.attended.data()),
                                   const_cast<float*>(s.maxima.data()),
                                   const_cast<float*>(s.sums.data())};
  numerics::CausalAttentionBackward(
      AttentionOf(call, layer, s), output,
      {dattended_.data(), dqkv_.data(), dqkv_.data() + n_q, dqkv_.data() + n_q + n_kv}, attention_,
      call.pool);
  Rotate(call, layer, dqkv_, true);
  NormHeadsBackward(call, w, s, dqkv_);
  ChainStart start = ChainStart::kFromZero;
  for (const LinearPart& part : w.qkv) {
    LinearBackward(call, part, s.normed, n, dqkv_, layout_.n_qkv(), start, dnormed_);
    start = ChainStart::kFromOutput;
  }
  NormBackward(call, w.attn_norm, in, dnormed_, s.attn_at, dx_);
}

void TrainableDecoder::EmbedBackward(const Call& call) {
  if (call.gradient == nullptr) return;
  Drop(call, 0, dx_);
  if (layout_.embedding_scale != 1) ScaleRows(call, layout_.embedding_scale, dx_);
  if (!call.shard_ends.empty()) return EmbedBackwardOfShards(call);
  const std::int64_t n_items = (shape_.n_embd + kColumnsOfAnItem - 1) / kColumnsOfAnItem;
  call.pool.For(n_items, [&](std::int64_t item, int) {
    const std::int64_t first = item * kColumnsOfAnItem;
    const auto size = static_cast<std::size_t>(std::min(kColumnsOfAnItem, shape_.n_embd - first));
    for (std::int64_t row = 0; row < call.n_rows; ++row) {
      const std::span<const float> d(dx_.data() + row * shape_.n_embd + first, size);
      const std::int64_t token = call.batch.tokens[static_cast<std::size_t>(row)];
      numerics::Add(d, {call.gradient + layout_.embedding + token * shape_.n_embd + first, size});
      if (layout_.positions == kNone) continue;
      const std::int64_t at = layout_.positions + Position(call, row) * shape_.n_embd + first;
      numerics::Add(d, {call.gradient + at, size});
    }
  });
}

}  // namespace tatara::model
