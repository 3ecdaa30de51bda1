#include "tatara/model/trainable.h"

#include <algorithm>
#include <cmath>

#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "trainable_decoder.h"

namespace tatara::model {

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
    Forward({one, weights.data(), none, nullptr, pool, one.n_tokens});
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
