#include "tatara/model/trainable.h"

#include <algorithm>
#include <cmath>

#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "trainable_decoder.h"

namespace tatara::model {

// ---- what is asked for

TrainableDecoder::Call TrainableDecoder::MakeCall(const TrainingBatch& batch,
                                                  std::span<const float> weights,
                                                  const TrainingDropout& dropout, float* gradient,
                                                  ThreadPool& pool) const {
  Call call{.batch = batch,
            .weights = weights.data(),
            .dropout = dropout,
            .gradient = gradient,
            .pool = pool,
            .n_rows = batch.n_sequences * batch.n_tokens,
            .backward = gradient != nullptr};
  if (tuning_ == nullptr) return call;
  call.weights = tuning_->base->values();
  call.gradient = nullptr;
  call.adapter = weights.data();
  call.adapter_gradient = gradient;
  return call;
}

void TrainableDecoder::LossAndGradient(const TrainingBatch& batch, std::span<const float> weights,
                                       const TrainingDropout& dropout, std::span<float> gradient,
                                       double& loss, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weights.size()) == n_values());
  TATARA_CHECK(static_cast<std::int64_t>(gradient.size()) == n_gradient_values());
  TATARA_CHECK(batch.targets.size() == batch.tokens.size());
  const ScopedFpEnvironment environment;
  const Call call = MakeCall(batch, weights, dropout, gradient.data(), pool);
  if (call.n_rows == 0) return;
  GradientsOf(call, {&loss, 1});
}

void TrainableDecoder::GradientsOf(const Call& call, std::span<double> losses) {
  Forward(call);
  HeadForwardAndBackward(call, losses, &dnormed_);
  std::fill(dx_.begin(), dx_.end(), 0.0F);
  NormBackward(call, layout_.final_norm, StreamOf(shape_.n_layers), dnormed_, final_at_, dx_);
  for (int i = shape_.n_layers - 1; i >= 0; --i) {
    LayerState& state = StateOf(call, i);
    Floats& in = StreamOf(i);
    if (options_.recompute) {
      if (i + 1 < shape_.n_layers) LayerForward(call, i, in, state, nullptr);
      KeepInput(call, i, in);
    } else if (Stores(call)) {
      LoadLayer(call, i, state);
    }
    LayerBackward(call, i, in, state);
  }
  EmbedBackward(call);
}

void TrainableDecoder::GradientOfShards(const TrainingBatch& batch,
                                        std::span<const std::int64_t> shard_ends,
                                        std::span<const float> weights,
                                        const TrainingDropout& dropout, std::span<float> gradient,
                                        std::span<double> losses, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weights.size()) == n_values());
  TATARA_CHECK(static_cast<std::int64_t>(gradient.size()) >= n_values());
  TATARA_CHECK(batch.targets.size() == batch.tokens.size());
  TATARA_CHECK(losses.size() == shard_ends.size() && shard_ends.back() == batch.n_sequences);
  const ScopedFpEnvironment environment;
  Call call = MakeCall(batch, weights, dropout, gradient.data(), pool);
  TATARA_CHECK(call.n_rows > 0);
  shard_ends_.assign(shard_ends.begin(), shard_ends.end());
  for (std::int64_t& end : shard_ends_) end *= batch.n_tokens;
  call.shard_ends = shard_ends_;
  GradientsOf(call, losses);
}

void TrainableDecoder::Loss(const TrainingBatch& batch, std::span<const float> weights,
                            double& loss, ThreadPool& pool) {
  TATARA_CHECK(static_cast<std::int64_t>(weights.size()) == n_values());
  TATARA_CHECK(batch.targets.size() == batch.tokens.size());
  const ScopedFpEnvironment environment;
  const TrainingDropout none;
  const Call call = MakeCall(batch, weights, none, nullptr, pool);
  if (call.n_rows == 0) return;
  Forward(call);
  HeadForwardAndBackward(call, {&loss, 1}, nullptr);
}

void TrainableDecoder::FinishGradient(std::span<float> gradient) const {
  if (!shape_.tied || tuning_ != nullptr) return;
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
  const Call call = MakeCall(batch, weights, none, nullptr, pool);
  TATARA_CHECK(static_cast<std::int64_t>(logits.size()) == call.n_rows * shape_.n_vocab);
  if (call.n_rows == 0) return;
  Forward(call);
  MatrixForward(call, layout_.head, {call.n_rows, shape_.n_embd, shape_.n_vocab},
                final_normed_.data(), logits.data(), shape_.n_vocab);
  CapLogits(call, call.n_rows, logits);
}

std::string TrainableDecoder::FirstNotFinite(const TrainingBatch& batch,
                                             std::span<const float> weights, ThreadPool& pool) {
  const ScopedFpEnvironment environment;
  const TrainingDropout none;
  const auto n = static_cast<std::size_t>(batch.n_tokens);
  const auto finite = [](const Floats& x) {
    return std::ranges::all_of(x, [](float v) { return std::isfinite(v); });
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch.n_sequences); ++i) {
    TrainingBatch one{.n_sequences = 1, .n_tokens = batch.n_tokens};
    one.tokens = batch.tokens.subspan(i * n, n);
    if (!batch.first_keys.empty()) one.first_keys = batch.first_keys.subspan(i * n, n);
    Forward(MakeCall(one, weights, none, nullptr, pool));
    for (std::size_t layer = 0; layer < streams_.size(); ++layer) {
      if (finite(streams_[layer])) continue;
      return layer == 0 ? "token_embd" : "blk." + std::to_string(layer - 1);
    }
    if (!finite(final_normed_)) return "output_norm";
    logits_.resize(n * static_cast<std::size_t>(shape_.n_vocab));
    Logits(one, weights, logits_, pool);
    if (!finite(logits_)) return "output";
  }
  return "";
}

std::string Trainable::FirstNotFinite(const TrainingBatch&, std::span<const float>, ThreadPool&) {
  return "";
}

Result<std::unique_ptr<Trainable>> Trainable::Make(const TrainableShape& shape,
                                                   const TrainableOptions& options) {
  TATARA_TRY(TrainableLayout layout, LayOut(shape));
  return std::unique_ptr<Trainable>(std::make_unique<TrainableDecoder>(std::move(layout), options));
}

}  // namespace tatara::model
