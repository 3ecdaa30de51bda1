// Forward and backward over a batch, layer by layer, as the published equations read.
//
// Shapes: R rows (tokens of the batch), E n_embd, Q columns of q, k and v together, H n_heads *
// head size, F inner size, V vocabulary.
#include "tatara/model/trainable.h"

#include <algorithm>
#include <cmath>

#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "tatara/numerics/product.h"
#include "tatara/numerics/training_attention.h"
#include "trainable_layout.h"

namespace tatara::model {
namespace {

using numerics::ChainStart;
using numerics::NormKind;
using numerics::NormStatistics;
using Floats = std::vector<float>;

constexpr std::int64_t kRowsOfAnItem = 8;      // rows are dealt out to threads in such pieces
constexpr std::int64_t kColumnsOfAnItem = 64;  // and columns of sums over rows in these
constexpr std::int64_t kHeadFloats = 1 << 22;  // of logits at a time

// What a layer's backward pass needs of its forward pass.
struct LayerState {
  Floats normed;                                // (R, E) input of qkv
  Floats qkv;                                   // (R, Q) after the rotation
  Floats attended;                              // (R, H)
  Floats maxima, sums;                          // of the attention's rows
  Floats middle;                                // (R, E) the stream between the blocks
  Floats ffn_normed;                            // (R, E)
  Floats inner;                                 // (R, F or 2F)
  Floats activated;                             // (R, F)
  std::vector<NormStatistics> attn_at, ffn_at;  // (R)
};

class TrainableDecoder final : public Trainable {
 public:
  TrainableDecoder(TrainableLayout layout, const TrainableOptions& options)
      : layout_(std::move(layout)), options_(options), shape_(layout_.shape) {
    if (layout_.rotary) {
      frequencies_.resize(static_cast<std::size_t>(layout_.head_dim / 2));
      numerics::RopeInverseFrequencies(shape_.rope_base, layout_.head_dim, {}, 1, frequencies_);
    }
  }

  const TrainableShape& shape() const override { return shape_; }
  const std::vector<Parameter>& parameters() const override { return layout_.parameters; }
  std::int64_t n_values() const override { return layout_.n_values; }
  std::int64_t n_parameters() const override {
    std::int64_t n = 0;
    for (const Parameter& p : layout_.parameters) n += p.size();
    return n;
  }
  std::int64_t n_gradient_values() const override {
    return layout_.n_values + (shape_.tied ? std::int64_t{shape_.n_vocab} * shape_.n_embd : 0);
  }

  void LossAndGradient(const TrainingBatch& batch, std::span<const float> weights,
                       const TrainingDropout& dropout, std::span<float> gradient, double& loss,
                       ThreadPool& pool) override;
  void Loss(const TrainingBatch& batch, std::span<const float> weights, double& loss,
            ThreadPool& pool) override;
  void FinishGradient(std::span<float> gradient) const override;
  void Logits(const TrainingBatch& batch, std::span<const float> weights, std::span<float> logits,
              ThreadPool& pool) override;

 private:
  // One call's views; the class keeps the memory.
  struct Call {
    const TrainingBatch& batch;
    const float* weights;
    const TrainingDropout& dropout;
    float* gradient;  // null: forward only
    ThreadPool& pool;
    std::int64_t n_rows;
  };

  void Prepare(const Call& call);
  void PrepareRotation(const Call& call);
  std::int64_t Position(const Call& call, std::int64_t row) const;
  LayerState& StateOf(const Call& call, int layer);

  void Forward(const Call& call);
  void Embed(const Call& call, Floats& x);
  void LayerForward(const Call& call, int layer, const Floats& in, LayerState& s, Floats* out);
  void HeadForwardAndBackward(const Call& call, double& loss, Floats* dx);
  void LayerBackward(const Call& call, int layer, const Floats& in, const LayerState& s);
  void EmbedBackward(const Call& call);

  void NormForward(const Call& call, const NormPart& norm, const Floats& x,
                   std::vector<NormStatistics>& at, Floats& y);
  void NormBackward(const Call& call, const NormPart& norm, const Floats& x, const Floats& dy,
                    const std::vector<NormStatistics>& at, Floats& dx);
  void LinearForward(const Call& call, const LinearPart& part, const Floats& x,
                     std::int64_t n_inputs, Floats& y, std::int64_t n_columns);
  void LinearBackward(const Call& call, const LinearPart& part, const Floats& x,
                      std::int64_t n_inputs, const Floats& dy, std::int64_t n_columns,
                      ChainStart start, Floats& dx);
  void Rotate(const Call& call, Floats& qkv, bool back);
  numerics::TrainingAttention AttentionOf(const Call& call, const LayerState& s) const;
  void Drop(const Call& call, std::uint32_t site, Floats& x);
  void AddRows(const Call& call, const Floats& x, Floats& y);

  // body(row) for every row.
  template <typename F>
  static void ForRows(const Call& call, F body) {
    const std::int64_t n_items = (call.n_rows + kRowsOfAnItem - 1) / kRowsOfAnItem;
    call.pool.For(n_items, [&](std::int64_t item, int) {
      const std::int64_t end = std::min(call.n_rows, (item + 1) * kRowsOfAnItem);
      for (std::int64_t row = item * kRowsOfAnItem; row < end; ++row) body(row);
    });
  }
  // body(first, end) for pieces of n columns; inside, rows go ascending: chains over tokens.
  template <typename F>
  static void ForColumns(const Call& call, std::int64_t n, F body) {
    const std::int64_t n_items = (n + kColumnsOfAnItem - 1) / kColumnsOfAnItem;
    call.pool.For(n_items, [&](std::int64_t item, int) {
      body(item * kColumnsOfAnItem, std::min(n, (item + 1) * kColumnsOfAnItem));
    });
  }
  static std::span<const float> Row(const Floats& x, std::int64_t row, std::int64_t n) {
    return {x.data() + row * n, static_cast<std::size_t>(n)};
  }
  static std::span<float> Row(Floats& x, std::int64_t row, std::int64_t n) {
    return {x.data() + row * n, static_cast<std::size_t>(n)};
  }

  TrainableLayout layout_;
  TrainableOptions options_;
  const TrainableShape& shape_;
  std::vector<double> frequencies_;

  std::vector<Floats> streams_;  // n_layers + 1 of (R, E): each layer's input, and the last output
  std::vector<LayerState> states_;
  Floats final_normed_, logits_, block_, dx_, dnormed_, dqkv_, dattended_, dinner_, dactivated_;
  std::vector<NormStatistics> final_at_;
  std::vector<double> losses_;
  Floats cosines_, sines_, back_sines_;  // (R, head size / 2)
  numerics::ProductWorkspace products_;
  numerics::AttentionWorkspace attention_;
};

// ---- memory

void TrainableDecoder::Prepare(const Call& call) {
  const TrainingBatch& b = call.batch;
  TATARA_CHECK(static_cast<std::int64_t>(b.tokens.size()) == call.n_rows);
  TATARA_CHECK(b.n_tokens <= shape_.n_ctx);
  TATARA_CHECK(b.first_keys.empty() || b.first_keys.size() == b.tokens.size());
  const auto rows = static_cast<std::size_t>(call.n_rows);
  const auto resize = [&](Floats& x, std::int64_t n) {
    x.resize(rows * static_cast<std::size_t>(n));
  };
  streams_.resize(static_cast<std::size_t>(shape_.n_layers) + 1);
  for (Floats& stream : streams_) resize(stream, shape_.n_embd);
  const bool one = options_.recompute || call.gradient == nullptr;
  states_.resize(one ? 1 : static_cast<std::size_t>(shape_.n_layers));
  const std::int64_t n_q = std::int64_t{shape_.n_heads} * layout_.head_dim;
  for (LayerState& s : states_) {
    for (Floats* x : {&s.normed, &s.middle, &s.ffn_normed}) resize(*x, shape_.n_embd);
    resize(s.qkv, layout_.n_qkv());
    resize(s.attended, n_q);
    for (Floats* x : {&s.maxima, &s.sums}) resize(*x, shape_.n_heads);
    resize(s.inner, layout_.n_inner());
    resize(s.activated, shape_.n_ff);
    s.attn_at.resize(rows);
    s.ffn_at.resize(rows);
  }
  resize(final_normed_, shape_.n_embd);
  resize(block_, shape_.n_embd);
  final_at_.resize(rows);
  if (layout_.rotary) PrepareRotation(call);
  if (call.gradient == nullptr) return;
  resize(dx_, shape_.n_embd);
  resize(dnormed_, shape_.n_embd);
  resize(dqkv_, layout_.n_qkv());
  resize(dattended_, n_q);
  resize(dinner_, layout_.n_inner());
  resize(dactivated_, shape_.n_ff);
}

std::int64_t TrainableDecoder::Position(const Call& call, std::int64_t row) const {
  const std::int64_t place = row % call.batch.n_tokens;
  if (call.batch.first_keys.empty()) return place;
  return place - call.batch.first_keys[static_cast<std::size_t>(row)];
}

void TrainableDecoder::PrepareRotation(const Call& call) {
  const auto n = static_cast<std::size_t>(layout_.head_dim / 2);
  for (Floats* table : {&cosines_, &sines_, &back_sines_}) {
    table->resize(static_cast<std::size_t>(call.n_rows) * n);
  }
  ForRows(call, [&](std::int64_t row) {
    const auto at = static_cast<std::size_t>(row) * n;
    numerics::RopeTable(Position(call, row), frequencies_, std::span(cosines_).subspan(at, n),
                        std::span(sines_).subspan(at, n));
    for (std::size_t i = at; i < at + n; ++i) back_sines_[i] = -sines_[i];
  });
}

LayerState& TrainableDecoder::StateOf(const Call&, int layer) {
  return states_[states_.size() == 1 ? 0 : static_cast<std::size_t>(layer)];
}

// ---- parts

void TrainableDecoder::NormForward(const Call& call, const NormPart& norm, const Floats& x,
                                   std::vector<NormStatistics>& at, Floats& y) {
  const std::int64_t n = shape_.n_embd;
  const auto eps = static_cast<float>(shape_.norm_eps);
  const std::span<const float> weight(call.weights + norm.weight, static_cast<std::size_t>(n));
  ForRows(call, [&](std::int64_t row) {
    NormStatistics& statistics = at[static_cast<std::size_t>(row)];
    if (layout_.norm == NormKind::kRms) {
      statistics = numerics::RmsStatistics(Row(x, row, n), eps);
      numerics::RmsNorm(Row(x, row, n), weight, eps, Row(y, row, n));
    } else {
      statistics = numerics::LayerStatistics(Row(x, row, n), eps);
      numerics::LayerNorm(Row(x, row, n), weight, {call.weights + norm.bias, weight.size()}, eps,
                          Row(y, row, n));
    }
  });
}

// Adds to dx, and to the gradients of the norm's weight and bias.
void TrainableDecoder::NormBackward(const Call& call, const NormPart& norm, const Floats& x,
                                    const Floats& dy, const std::vector<NormStatistics>& at,
                                    Floats& dx) {
  const std::int64_t n = shape_.n_embd;
  const std::span<const float> weight(call.weights + norm.weight, static_cast<std::size_t>(n));
  ForRows(call, [&](std::int64_t row) {
    numerics::NormBackward(layout_.norm, Row(x, row, n), weight, Row(dy, row, n),
                           at[static_cast<std::size_t>(row)], Row(dx, row, n));
  });
  ForColumns(call, n, [&](std::int64_t first, std::int64_t end) {
    const auto size = static_cast<std::size_t>(end - first);
    for (std::int64_t row = 0; row < call.n_rows; ++row) {
      const std::span<const float> d(dy.data() + row * n + first, size);
      numerics::NormWeightGradient({x.data() + row * n + first, size}, d,
                                   at[static_cast<std::size_t>(row)],
                                   {call.gradient + norm.weight + first, size});
      if (norm.bias != kNone) numerics::Add(d, {call.gradient + norm.bias + first, size});
    }
  });
}

// Columns part.column .. of y, which has n_columns.
void TrainableDecoder::LinearForward(const Call& call, const LinearPart& part, const Floats& x,
                                     std::int64_t n_inputs, Floats& y, std::int64_t n_columns) {
  numerics::Product({call.n_rows, part.n_outputs, n_inputs}, {x.data(), n_inputs, 1},
                    {call.weights + part.weight, 1, n_inputs}, ChainStart::kFromZero,
                    y.data() + part.column, n_columns, products_, call.pool);
  if (part.bias == kNone) return;
  const auto n = static_cast<std::size_t>(part.n_outputs);
  ForRows(call, [&](std::int64_t row) {
    numerics::Add({call.weights + part.bias, n}, {y.data() + row * n_columns + part.column, n});
  });
}

// dx from +0 or going on; the gradients of weight and bias go on.
void TrainableDecoder::LinearBackward(const Call& call, const LinearPart& part, const Floats& x,
                                      std::int64_t n_inputs, const Floats& dy,
                                      std::int64_t n_columns, ChainStart start, Floats& dx) {
  const numerics::MatrixView d{dy.data() + part.column, n_columns, 1};
  numerics::Product({call.n_rows, n_inputs, part.n_outputs}, d,
                    {call.weights + part.weight, n_inputs, 1}, start, dx.data(), n_inputs,
                    products_, call.pool);
  numerics::Product({part.n_outputs, n_inputs, call.n_rows}, d.Transposed(),
                    {x.data(), n_inputs, 1}, ChainStart::kFromOutput, call.gradient + part.weight,
                    n_inputs, products_, call.pool);
  if (part.bias == kNone) return;
  ForColumns(call, part.n_outputs, [&](std::int64_t first, std::int64_t end) {
    const auto size = static_cast<std::size_t>(end - first);
    for (std::int64_t row = 0; row < call.n_rows; ++row) {
      numerics::Add({dy.data() + row * n_columns + part.column + first, size},
                    {call.gradient + part.bias + first, size});
    }
  });
}

// Queries and keys; back: by the negative angle, which is the rotation's transpose.
void TrainableDecoder::Rotate(const Call& call, Floats& qkv, bool back) {
  if (!layout_.rotary) return;
  const auto n = static_cast<std::size_t>(layout_.head_dim / 2);
  const int n_heads = shape_.n_heads + shape_.n_kv_heads;
  const Floats& sines = back ? back_sines_ : sines_;
  ForRows(call, [&](std::int64_t row) {
    const auto at = static_cast<std::size_t>(row) * n;
    numerics::Rope(Row(qkv, row, layout_.n_qkv()).first(static_cast<std::size_t>(n_heads) * 2 * n),
                   n_heads, layout_.head_dim, layout_.rope, std::span(cosines_).subspan(at, n),
                   std::span(sines).subspan(at, n));
  });
}

numerics::TrainingAttention TrainableDecoder::AttentionOf(const Call& call,
                                                          const LayerState& s) const {
  const std::int64_t n_q = std::int64_t{shape_.n_heads} * layout_.head_dim;
  const std::int64_t n_kv = std::int64_t{shape_.n_kv_heads} * layout_.head_dim;
  const TrainingBatch& b = call.batch;
  return {.n_sequences = b.n_sequences,
          .n_tokens = b.n_tokens,
          .n_heads = shape_.n_heads,
          .n_kv_heads = shape_.n_kv_heads,
          .head_dim = layout_.head_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(layout_.head_dim)),
          .q = s.qkv.data(),
          .k = s.qkv.data() + n_q,
          .v = s.qkv.data() + n_q + n_kv,
          .q_stride = layout_.n_qkv(),
          .k_stride = layout_.n_qkv(),
          .v_stride = layout_.n_qkv(),
          .first_keys = b.first_keys.empty() ? nullptr : b.first_keys.data()};
}

void TrainableDecoder::Drop(const Call& call, std::uint32_t site, Floats& x) {
  if (call.dropout.rate == 0) return;
  const std::int64_t n = shape_.n_embd;
  const numerics::DropoutKey key{.seed = call.dropout.seed,
                                 .site = site,
                                 .step = call.dropout.step,
                                 .rate = call.dropout.rate};
  const std::int64_t first = call.batch.first_sequence * call.batch.n_tokens;
  ForRows(call, [&](std::int64_t row) {
    numerics::Dropout(key, static_cast<std::uint64_t>((first + row) * n), Row(x, row, n));
  });
}

void TrainableDecoder::AddRows(const Call& call, const Floats& x, Floats& y) {
  const std::int64_t n = shape_.n_embd;
  ForRows(call, [&](std::int64_t row) { numerics::Add(Row(x, row, n), Row(y, row, n)); });
}

// ---- forward

void TrainableDecoder::Embed(const Call& call, Floats& x) {
  const auto n = static_cast<std::size_t>(shape_.n_embd);
  ForRows(call, [&](std::int64_t row) {
    const std::int32_t token = call.batch.tokens[static_cast<std::size_t>(row)];
    TATARA_CHECK(token >= 0 && token < shape_.n_vocab);
    const std::span<float> to = Row(x, row, shape_.n_embd);
    std::copy_n(call.weights + layout_.embedding + std::int64_t{token} * shape_.n_embd, n,
                to.begin());
    if (layout_.positions == kNone) return;
    numerics::Add({call.weights + layout_.positions + Position(call, row) * shape_.n_embd, n}, to);
  });
  Drop(call, 0, x);
}

// x' = x + Wo attend(rope(Wqkv norm(x)));  out = x' + Wdown f(Winner norm(x')). `out` may be null
// where only the state is wanted.
void TrainableDecoder::LayerForward(const Call& call, int layer, const Floats& in, LayerState& s,
                                    Floats* out) {
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t n = shape_.n_embd, n_ff = shape_.n_ff;
  const std::int64_t n_q = std::int64_t{shape_.n_heads} * layout_.head_dim;
  NormForward(call, w.attn_norm, in, s.attn_at, s.normed);
  for (const LinearPart& part : w.qkv)
    LinearForward(call, part, s.normed, n, s.qkv, layout_.n_qkv());
  Rotate(call, s.qkv, false);
  numerics::CausalAttention(AttentionOf(call, s),
                            {s.attended.data(), s.maxima.data(), s.sums.data()}, attention_,
                            call.pool);
  LinearForward(call, w.output, s.attended, n_q, block_, n);
  Drop(call, static_cast<std::uint32_t>(2 * layer + 1), block_);
  std::copy(in.begin(), in.end(), s.middle.begin());
  AddRows(call, block_, s.middle);

  NormForward(call, w.ffn_norm, s.middle, s.ffn_at, s.ffn_normed);
  for (const LinearPart& part : w.inner)
    LinearForward(call, part, s.ffn_normed, n, s.inner, layout_.n_inner());
  ForRows(call, [&](std::int64_t row) {
    const std::span<const float> inner = Row(std::as_const(s.inner), row, layout_.n_inner());
    const std::span<float> y = Row(s.activated, row, n_ff);
    if (layout_.gated) {
      numerics::SiluMul(inner.first(y.size()), inner.last(y.size()), y);
    } else {
      std::copy(inner.begin(), inner.end(), y.begin());
      numerics::GeluTanh(y);
    }
  });
  if (out == nullptr) return;
  LinearForward(call, w.down, s.activated, n_ff, block_, n);
  Drop(call, static_cast<std::uint32_t>(2 * layer + 2), block_);
  std::copy(s.middle.begin(), s.middle.end(), out->begin());
  AddRows(call, block_, *out);
}

void TrainableDecoder::Forward(const Call& call) {
  Prepare(call);
  Embed(call, streams_[0]);
  for (int i = 0; i < shape_.n_layers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    LayerForward(call, i, streams_[at], StateOf(call, i), &streams_[at + 1]);
  }
  NormForward(call, layout_.final_norm, streams_.back(), final_at_, final_normed_);
}

// ---- the head

// Some rows at a time, ascending: logits, losses, and with dx the gradient of the normed stream
// into it and that of the head onto its array.
void TrainableDecoder::HeadForwardAndBackward(const Call& call, double& loss, Floats* dx) {
  const std::int64_t n = shape_.n_embd, n_vocab = shape_.n_vocab;
  const std::int64_t n_rows_max = std::max<std::int64_t>(kRowsOfAnItem, kHeadFloats / n_vocab);
  const float* const w = call.weights + layout_.head;
  float* const dw = call.gradient == nullptr
                        ? nullptr
                        : call.gradient + (shape_.tied ? layout_.n_values : layout_.head);
  for (std::int64_t first = 0; first < call.n_rows; first += n_rows_max) {
    const std::int64_t n_rows = std::min(n_rows_max, call.n_rows - first);
    const float* const x = final_normed_.data() + first * n;
    logits_.resize(static_cast<std::size_t>(n_rows * n_vocab));
    losses_.assign(static_cast<std::size_t>(n_rows), 0.0);
    numerics::LinearForward({n_rows, n, n_vocab}, x, w, logits_.data(), products_, call.pool);
    call.pool.For(n_rows, [&](std::int64_t row, int) {
      const std::int32_t target = call.batch.targets[static_cast<std::size_t>(first + row)];
      const std::span<float> logits = Row(logits_, row, n_vocab);
      double& here = losses_[static_cast<std::size_t>(row)];
      if (target < 0) {
        std::fill(logits.begin(), logits.end(), 0.0F);
      } else {
        TATARA_CHECK(target < n_vocab);
        here = dx == nullptr ? numerics::CrossEntropyLoss(logits, target)
                             : numerics::CrossEntropy(logits, target);
      }
    });
    for (const double here : losses_) loss += here;
    if (dx == nullptr) continue;
    numerics::LinearBackward({n_rows, n, n_vocab}, logits_.data(), w, ChainStart::kFromZero,
                             dx->data() + first * n, products_, call.pool);
    numerics::LinearWeightGradient({n_rows, n, n_vocab}, logits_.data(), x, dw, products_,
                                   call.pool);
  }
}

// ---- backward: dx_ is the gradient of the stream

void TrainableDecoder::LayerBackward(const Call& call, int layer, const Floats& in,
                                     const LayerState& s) {
  const LayerParts& w = layout_.layers[static_cast<std::size_t>(layer)];
  const std::int64_t n = shape_.n_embd, n_ff = shape_.n_ff;
  const std::int64_t n_q = std::int64_t{shape_.n_heads} * layout_.head_dim;
  const std::int64_t n_kv = std::int64_t{shape_.n_kv_heads} * layout_.head_dim;

  std::copy(dx_.begin(), dx_.end(), block_.begin());
  Drop(call, static_cast<std::uint32_t>(2 * layer + 2), block_);
  LinearBackward(call, w.down, s.activated, n_ff, block_, n, ChainStart::kFromZero, dactivated_);
  ForRows(call, [&](std::int64_t row) {
    const std::span<const float> inner = Row(s.inner, row, layout_.n_inner());
    const std::span<const float> dy = Row(std::as_const(dactivated_), row, n_ff);
    const std::span<float> dinner = Row(dinner_, row, layout_.n_inner());
    if (layout_.gated) {
      numerics::GateBackward(layout_.activation, inner.first(dy.size()), inner.last(dy.size()), dy,
                             dinner.first(dy.size()), dinner.last(dy.size()));
    } else {
      numerics::ActivationBackward(layout_.activation, inner, dy, dinner);
    }
  });
  ChainStart start = ChainStart::kFromZero;
  for (const LinearPart& part : w.inner) {
    LinearBackward(call, part, s.ffn_normed, n, dinner_, layout_.n_inner(), start, dnormed_);
    start = ChainStart::kFromOutput;
  }
  NormBackward(call, w.ffn_norm, s.middle, dnormed_, s.ffn_at, dx_);

  std::copy(dx_.begin(), dx_.end(), block_.begin());
  Drop(call, static_cast<std::uint32_t>(2 * layer + 1), block_);
  LinearBackward(call, w.output, s.attended, n_q, block_, n, ChainStart::kFromZero, dattended_);
  numerics::AttentionOutput output{const_cast<float*>(s.attended.data()),
                                   const_cast<float*>(s.maxima.data()),
                                   const_cast<float*>(s.sums.data())};
  numerics::CausalAttentionBackward(
      AttentionOf(call, s), output,
      {dattended_.data(), dqkv_.data(), dqkv_.data() + n_q, dqkv_.data() + n_q + n_kv}, attention_,
      call.pool);
  Rotate(call, dqkv_, true);
  start = ChainStart::kFromZero;
  for (const LinearPart& part : w.qkv) {
    LinearBackward(call, part, s.normed, n, dqkv_, layout_.n_qkv(), start, dnormed_);
    start = ChainStart::kFromOutput;
  }
  NormBackward(call, w.attn_norm, in, dnormed_, s.attn_at, dx_);
}

void TrainableDecoder::EmbedBackward(const Call& call) {
  Drop(call, 0, dx_);
  ForColumns(call, shape_.n_embd, [&](std::int64_t first, std::int64_t end) {
    const auto size = static_cast<std::size_t>(end - first);
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

// ---- what is asked for

void TrainableDecoder::LossAndGradient(const TrainingBatch& batch, std::span<const float> weights,
                                       const TrainingDropout& dropout, std::span<float> gradient,
                                       double& loss, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weights.size()) == n_values());
  TATARA_CHECK(static_cast<std::int64_t>(gradient.size()) == n_gradient_values());
  TATARA_CHECK(batch.targets.size() == batch.tokens.size());
  const ScopedFpEnvironment environment;
  const Call call{batch,           weights.data(), dropout,
                  gradient.data(), pool,           batch.n_sequences * batch.n_tokens};
  if (call.n_rows == 0) return;
  Forward(call);
  HeadForwardAndBackward(call, loss, &dnormed_);
  std::fill(dx_.begin(), dx_.end(), 0.0F);
  NormBackward(call, layout_.final_norm, streams_.back(), dnormed_, final_at_, dx_);
  for (int i = shape_.n_layers - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    LayerState& state = StateOf(call, i);
    if (states_.size() == 1 && i + 1 < shape_.n_layers)
      LayerForward(call, i, streams_[at], state, nullptr);
    LayerBackward(call, i, streams_[at], state);
  }
  EmbedBackward(call);
}

void TrainableDecoder::Loss(const TrainingBatch& batch, std::span<const float> weights,
                            double& loss, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weights.size()) == n_values());
  TATARA_CHECK(batch.targets.size() == batch.tokens.size());
  const ScopedFpEnvironment environment;
  const TrainingDropout none;
  const Call call{batch, weights.data(), none, nullptr, pool, batch.n_sequences * batch.n_tokens};
  if (call.n_rows == 0) return;
  Forward(call);
  HeadForwardAndBackward(call, loss, nullptr);
}

void TrainableDecoder::FinishGradient(std::span<float> gradient) const {
  if (!shape_.tied) return;
  const auto n = static_cast<std::size_t>(std::int64_t{shape_.n_vocab} * shape_.n_embd);
  const std::span<float> head = gradient.subspan(static_cast<std::size_t>(layout_.n_values), n);
  numerics::Add(head, gradient.subspan(static_cast<std::size_t>(layout_.embedding), n));
  std::fill(head.begin(), head.end(), 0.0F);
}

void TrainableDecoder::Logits(const TrainingBatch& batch, std::span<const float> weights,
                              std::span<float> logits, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weights.size()) == n_values());
  const ScopedFpEnvironment environment;
  const TrainingDropout none;
  const Call call{batch, weights.data(), none, nullptr, pool, batch.n_sequences * batch.n_tokens};
  TATARA_CHECK(static_cast<std::int64_t>(logits.size()) == call.n_rows * shape_.n_vocab);
  if (call.n_rows == 0) return;
  Forward(call);
  numerics::LinearForward({call.n_rows, shape_.n_embd, shape_.n_vocab}, final_normed_.data(),
                          call.weights + layout_.head, logits.data(), products_, pool);
}

}  // namespace

Result<std::unique_ptr<Trainable>> Trainable::Make(const TrainableShape& shape,
                                                   const TrainableOptions& options) {
  TATARA_TRY(TrainableLayout layout, LayOut(shape));
  return std::unique_ptr<Trainable>(std::make_unique<TrainableDecoder>(std::move(layout), options));
}

}  // namespace tatara::model
