// The decoder of trainable.h: forward and backward over a batch, layer by layer, as the published
// equations read.
//
// Shapes: R rows (tokens of the batch), E n_embd, Q columns of q, k and v together, H n_heads *
// head size, K n_kv_heads * head size, F inner size, V vocabulary.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tatara/model/trainable.h"
#include "tatara/numerics/product.h"
#include "tatara/numerics/training_attention.h"
#include "trainable_layout.h"
#include "trainable_low_rank.h"

namespace tatara::model {

using numerics::ChainStart;
using numerics::LinearSize;
using numerics::NormKind;
using numerics::NormStatistics;
using Floats = std::vector<float>;

constexpr std::int64_t kRowsOfAnItem = 8;      // rows are dealt out to threads in such pieces
constexpr std::int64_t kColumnsOfAnItem = 64;  // and columns of sums over rows in these

// What a layer's backward pass needs of its forward pass. Empty where the family has no such part.
struct LayerState {
  Floats normed;                                // (R, E) input of qkv
  Floats qk_raw;                                // (R, H + K) before the norms of heads
  Floats qkv;                                   // (R, Q) after the rotation
  Floats attended;                              // (R, H)
  Floats maxima, sums;                          // of the attention's rows
  Floats attn_block, ffn_block;                 // (R, E) before the norms after the blocks
  Floats middle;                                // (R, E) the stream between the blocks
  Floats ffn_normed;                            // (R, E)
  Floats inner;                                 // (R, F or 2F)
  Floats activated;                             // (R, F)
  std::vector<NormStatistics> attn_at, ffn_at;  // (R)
  std::vector<NormStatistics> qk_at;            // (R, heads of queries and keys)
  std::vector<NormStatistics> attn_post_at, ffn_post_at;  // (R)
};

// The same as bf16, and the stream before the layer. The arrays of kept_arrays_ lie in `values` one
// after the other.
struct StoredLayer {
  std::vector<std::uint16_t> values;
  Floats maxima, sums;
  std::vector<NormStatistics> attn_at, ffn_at, qk_at, attn_post_at, ffn_post_at;

  void SwapStatistics(LayerState& s) {
    std::swap(maxima, s.maxima);
    std::swap(sums, s.sums);
    std::swap(attn_at, s.attn_at);
    std::swap(ffn_at, s.ffn_at);
    std::swap(qk_at, s.qk_at);
    std::swap(attn_post_at, s.attn_post_at);
    std::swap(ffn_post_at, s.ffn_post_at);
  }
};

class TrainableDecoder final : public Trainable {
 public:
  // With `tuning` an adapter trains beside frozen weights, else all weights do.
  TrainableDecoder(TrainableLayout layout, const TrainableOptions& options,
                   std::unique_ptr<Tuning> tuning = nullptr)
      : layout_(std::move(layout)),
        options_(options),
        shape_(layout_.shape),
        tuning_(std::move(tuning)) {
    for (const double base : layout_.rope_bases) {
      Rotation& rotation = rotations_.emplace_back();
      rotation.frequencies.resize(static_cast<std::size_t>(layout_.head_dim / 2));
      numerics::RopeInverseFrequencies(base, layout_.head_dim, {}, 1, rotation.frequencies);
    }
    LayOutKept();
  }

  const TrainableShape& shape() const override { return shape_; }
  const std::vector<Parameter>& parameters() const override {
    return tuning_ == nullptr ? layout_.parameters : tuning_->parameters;
  }
  std::int64_t n_values() const override {
    return tuning_ == nullptr ? layout_.n_values : tuning_->n_values;
  }
  std::int64_t n_parameters() const override {
    std::int64_t n = 0;
    for (const Parameter& p : parameters()) n += p.size();
    return n;
  }
  std::int64_t n_gradient_values() const override {
    if (tuning_ != nullptr) return tuning_->n_values;
    return layout_.n_values + (shape_.tied ? std::int64_t{shape_.n_vocab} * shape_.n_embd : 0);
  }

  void LossAndGradient(const TrainingBatch& batch, std::span<const float> weights,
                       const TrainingDropout& dropout, std::span<float> gradient, double& loss,
                       ThreadPool& pool) override;
  void GradientOfShards(const TrainingBatch& batch, std::span<const std::int64_t> shard_ends,
                        std::span<const float> weights, const TrainingDropout& dropout,
                        std::span<float> gradient, std::span<double> losses,
                        ThreadPool& pool) override;
  void Loss(const TrainingBatch& batch, std::span<const float> weights, double& loss,
            ThreadPool& pool) override;
  void FinishGradient(std::span<float> gradient) const override;
  void Initialise(std::uint64_t seed, std::span<float> weights, ThreadPool& pool) const override;
  void Logits(const TrainingBatch& batch, std::span<const float> weights, std::span<float> logits,
              ThreadPool& pool) override;
  std::string FirstNotFinite(const TrainingBatch& batch, std::span<const float> weights,
                             ThreadPool& pool) override;

 private:
  // One call's views; the class keeps the memory.
  struct Call {
    const TrainingBatch& batch;
    const float* weights;
    const TrainingDropout& dropout;
    float* gradient;  // of the weights; null: forward only, or they are frozen
    ThreadPool& pool;
    std::int64_t n_rows;
    bool backward;  // a gradient is wanted
    const float* adapter = nullptr;
    float* adapter_gradient = nullptr;
    // Rows before which each shard ends: gradients are written. Empty: they are added to.
    std::span<const std::int64_t> shard_ends = {};
  };
  // `gradient` null: forward only.
  Call MakeCall(const TrainingBatch& batch, std::span<const float> weights,
                const TrainingDropout& dropout, float* gradient, ThreadPool& pool) const;

  void Prepare(const Call& call);
  void PrepareLayers(const Call& call);
  void PrepareStored(const Call& call);
  void PrepareRotations(const Call& call);
  std::int64_t Position(const Call& call, std::int64_t row) const;
  LayerState& StateOf(const Call& call, int layer);
  Floats& StreamOf(int layer) {
    return streams_[static_cast<std::size_t>(layer) % streams_.size()];
  }

  // trainable_storage.cc: what is kept as bf16.
  void LayOutKept();
  bool Rounds(const Call& call) const {
    return call.backward && options_.storage == Storage::kBF16;
  }
  bool Stores(const Call& call) const { return Rounds(call) && !options_.recompute; }
  std::span<std::uint16_t> StoredRow(int layer, std::int64_t column, std::int64_t width,
                                     std::int64_t row);
  void KeepRow(const Call& call, int layer, Floats LayerState::* array, LayerState& s,
               std::int64_t row);
  void Keep(const Call& call, int layer, Floats LayerState::* array, LayerState& s);
  void KeepInput(const Call& call, int layer, Floats& in);
  void StoreStatistics(const Call& call, int layer, LayerState& s);
  void LoadLayer(const Call& call, int layer, LayerState& s);

  void Forward(const Call& call);
  void Embed(const Call& call, Floats& x);
  void LayerForward(const Call& call, int layer, const Floats& in, LayerState& s, Floats* out);
  void AttentionForward(const Call& call, int layer, const Floats& in, LayerState& s);
  void Activate(const Call& call, LayerState& s);
  void CapLogits(const Call& call, std::int64_t n_rows, std::span<float> logits);
  void HeadForwardAndBackward(const Call& call, std::span<double> losses, Floats* dx);
  void HeadGradient(const Call& call, const LinearSize& size, const float* x);
  double LossOfRow(std::int64_t row, std::int32_t target, bool backward);
  // trainable_head.cc: where the head does not train.
  void FindTargets(const Call& call);
  void HeadOfTargets(const Call& call, std::span<double> losses, Floats* dx);
  void AddLosses(const Call& call, std::int64_t first, std::span<double> losses) const;
  void SumRows(const Call& call, const numerics::MatrixView& dy, std::int64_t n, float* out);
  void GradientsOf(const Call& call, std::span<double> losses);
  void LayerBackward(const Call& call, int layer, const Floats& in, const LayerState& s);
  void AttentionBackward(const Call& call, int layer, const Floats& in, const LayerState& s);
  void ActivateBackward(const Call& call, const LayerState& s);
  void EmbedBackward(const Call& call);
  void EmbedBackwardOfShards(const Call& call);

  // trainable_shards.cc: sums over rows, of one call or of the call's shards.
  void GradientProduct(const Call& call, const numerics::ProductSize& size,
                       const numerics::MatrixView& a, const numerics::MatrixView& b, float* c,
                       std::int64_t c_stride);
  // The rows in which each value of `values` occurs.
  struct Occurrences {
    std::vector<std::int32_t> distinct;
    std::vector<std::size_t> starts;  // into rows; one more than distinct
    std::vector<std::int64_t> rows;   // of a value ascending
  };
  static void FindOccurrences(std::span<const std::int32_t> values, Occurrences& found);
  void SumOccurrences(const Call& call, const Occurrences& found, const float* kept, float* table);

  void NormForward(const Call& call, const NormPart& norm, const Floats& x,
                   std::vector<NormStatistics>& at, Floats& y);
  void NormBackward(const Call& call, const NormPart& norm, const Floats& x, const Floats& dy,
                    const std::vector<NormStatistics>& at, Floats& dx);
  void LinearForward(const Call& call, const LinearPart& part, const Floats& x,
                     std::int64_t n_inputs, Floats& y, std::int64_t n_columns);
  void LinearBackward(const Call& call, const LinearPart& part, const Floats& x,
                      std::int64_t n_inputs, const Floats& dy, std::int64_t n_columns,
                      ChainStart start, Floats& dx);

  // trainable_low_rank.cc: frozen matrices and what an adapter adds to their products.
  void MatrixForward(const Call& call, std::int64_t weight, const LinearSize& size, const float* x,
                     float* y, std::int64_t y_stride);
  void MatrixBackward(const Call& call, std::int64_t weight, const LinearSize& size,
                      const numerics::MatrixView& dy, ChainStart start, float* dx);
  const weights::TensorView* InFile(std::int64_t weight) const;
  template <typename F>
  void ForTiles(const Call& call, const weights::TensorView& view, const LinearSize& size, F body);
  void EmbeddingRow(const Call& call, std::int32_t token, std::span<float> to) const;
  const float* AdapterInput(const Call& call, const LowRankPart& part, const float* x);
  void DropAdapter(const Call& call, const LowRankPart& part, Floats& x);
  void LowRankForward(const Call& call, const LowRankPart& part, const float* x, float* y,
                      std::int64_t y_stride);
  numerics::MatrixView BeforeMagnitude(const Call& call, const LowRankPart& part,
                                       std::int64_t weight, const float* x,
                                       const numerics::MatrixView& dy);
  void LowRankBackward(const Call& call, const LowRankPart& part, const float* x,
                       const numerics::MatrixView& du, float* dx);
  void PrepareNorms(const Call& call);

  void NormHeads(const Call& call, int layer, LayerState& s);
  void NormHeadsBackward(const Call& call, const LayerParts& w, const LayerState& s, Floats& dqkv);
  void Rotate(const Call& call, int layer, Floats& qkv, bool back);
  numerics::TrainingAttention AttentionOf(const Call& call, int layer, const LayerState& s) const;
  void Drop(const Call& call, std::uint32_t site, Floats& x);
  void CopyRows(const Call& call, const Floats& x, Floats& y);  // of n_embd
  void AddRows(const Call& call, const Floats& x, Floats& y);
  void ScaleRows(const Call& call, float factor, Floats& x);
  // The block's output in block_ is normed where the family does so, dropped and added onto
  // `stream`.
  void AddBlock(const Call& call, std::uint32_t site, const NormPart& norm, const Floats& block,
                std::vector<NormStatistics>& at, Floats& stream);
  // dx_ back through the same, into block_.
  void BlockGradient(const Call& call, std::uint32_t site, const NormPart& norm,
                     const Floats& block, const std::vector<NormStatistics>& at);
  // Where a block's output goes that is to be normed.
  Floats& BlockOf(const NormPart& norm, Floats& kept) {
    return norm.weight == kNone ? block_ : kept;
  }

  // body(row) for every row.
  template <typename F>
  static void ForRows(const Call& call, F body) {
    const std::int64_t n_items = (call.n_rows + kRowsOfAnItem - 1) / kRowsOfAnItem;
    call.pool.For(n_items, [&](std::int64_t item, int) {
      const std::int64_t end = std::min(call.n_rows, (item + 1) * kRowsOfAnItem);
      for (std::int64_t row = item * kRowsOfAnItem; row < end; ++row) body(row);
    });
  }
  // chain(shard, from, end, sums) adds rows from .. end - 1 onto `sums`, of n <= kColumnsOfAnItem
  // values: onto those in `out`, or for each shard from +0, added over the tree into `out`.
  template <typename F>
  static void SumShards(const Call& call, std::int64_t n, float* out, F chain) {
    if (call.shard_ends.empty()) return chain(0, 0, call.n_rows, out);
    constexpr int kLevels = std::bit_width(static_cast<std::uint64_t>(numerics::kShardsMax)) + 1;
    std::array<float, static_cast<std::size_t>(kLevels * kColumnsOfAnItem)> stack;
    const auto size = static_cast<std::size_t>(n);
    float* top = stack.data();
    std::int64_t from = 0;
    for (std::int64_t shard = 0; shard < std::ssize(call.shard_ends); ++shard) {
      const std::int64_t end = call.shard_ends[static_cast<std::size_t>(shard)];
      std::fill_n(top, n, 0.0F);
      chain(shard, from, end, top);
      for (int merges = std::countr_zero(static_cast<std::uint64_t>(shard) + 1); merges > 0;
           --merges) {
        numerics::Add({top, size}, {top - kColumnsOfAnItem, size});
        top -= kColumnsOfAnItem;
      }
      top += kColumnsOfAnItem;
      from = end;
    }
    std::copy_n(stack.data(), n, out);
  }
  // Sums over rows of n columns into or onto `out`: chain(column, size, from, end, sums) adds that
  // piece of rows from .. end - 1, ascending.
  template <typename F>
  static void ForColumns(const Call& call, std::int64_t n, float* out, F chain) {
    const std::int64_t n_items = (n + kColumnsOfAnItem - 1) / kColumnsOfAnItem;
    call.pool.For(n_items, [&](std::int64_t item, int) {
      const std::int64_t first = item * kColumnsOfAnItem;
      const std::int64_t size = std::min(n - first, kColumnsOfAnItem);
      SumShards(call, size, out + first,
                [&](std::int64_t, std::int64_t from, std::int64_t end, float* sums) {
                  chain(first, static_cast<std::size_t>(size), from, end, sums);
                });
    });
  }
  static std::span<const float> Row(const Floats& x, std::int64_t row, std::int64_t n) {
    return {x.data() + row * n, static_cast<std::size_t>(n)};
  }
  static std::span<float> Row(Floats& x, std::int64_t row, std::int64_t n) {
    return {x.data() + row * n, static_cast<std::size_t>(n)};
  }

  struct Rotation {
    std::vector<double> frequencies;
    Floats cosines, sines, back_sines;  // (R, head size / 2)
  };

  TrainableLayout layout_;
  TrainableOptions options_;
  const TrainableShape& shape_;
  std::unique_ptr<Tuning> tuning_;   // null: all weights train
  std::vector<Rotation> rotations_;  // as layout_.rope_bases

  // n_layers + 1 of (R, E): each layer's input, and the last output; where layers are stored two
  // that take turns.
  std::vector<Floats> streams_;
  std::vector<LayerState> states_;  // a layer each, or one that is in work
  struct Kept {
    Floats LayerState::* array;
    std::int64_t width, column;
  };
  std::vector<Kept> kept_arrays_;  // the arrays that the family has; the stream's column is 0
  std::int64_t kept_width_ = 0;    // of all
  std::vector<StoredLayer> stored_;
  Floats final_normed_, logits_, capped_, block_;
  Floats dx_, dnormed_, dqkv_, dattended_, dinner_, dactivated_, dblock_, dqk_raw_;
  std::vector<NormStatistics> final_at_;
  std::vector<double> losses_;
  std::vector<std::int64_t> target_rows_;
  std::vector<std::size_t> target_shards_;
  Floats gathered_;                       // rows that have targets
  std::vector<std::int64_t> shard_ends_;  // of a call, in rows
  Occurrences tokens_at_, positions_at_;
  std::vector<std::int32_t> places_, positions_;
  Floats kept_;  // a tied head's gradients of the batch's tokens, for each shard
  numerics::ProductWorkspace products_;
  numerics::AttentionWorkspace attention_;
};

}  // namespace tatara::model
