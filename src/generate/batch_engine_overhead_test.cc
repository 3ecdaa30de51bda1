// What the scheduler costs beside the model.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "batch_engine.h"
#include "fake_model.h"

namespace tatara::generate {
namespace {

using test::FakeTokenizer;

// A model that computes nothing, with the largest vocabulary in use.
class IdleModel final : public model::Model {
 public:
  static constexpr int kVocabulary = 151936;
  IdleModel() {
    info_.n_vocab = kVocabulary;
    info_.n_ctx = 4096;
    info_.cache = {{.n_kv_heads = 1, .head_dim = 1, .value_dim = 1}};
    for (std::size_t i = 0; i < row_.size(); ++i) row_[i] = static_cast<float>(i % 1000) / 64.0f;
  }
  void Forward(std::span<const model::SequenceSlice> slices, model::KvPool&, ThreadPool&,
               std::span<float> logits) override {
    for (std::size_t i = 0; i < slices.size() && i * row_.size() < logits.size(); ++i) {
      std::copy(row_.begin(), row_.end(),
                logits.begin() + static_cast<std::ptrdiff_t>(i * row_.size()));
    }
    forward_end = std::chrono::steady_clock::now();
  }
  std::chrono::steady_clock::time_point forward_end;

 private:
  std::vector<float> row_ = std::vector<float>(kVocabulary);
};

// Prints what a decode step costs beside the forward pass; the figure of README.md.
TEST(BatchEngine, DISABLED_OverheadOfADecodeStep) {
  for (const int batch : {1, 8}) {
    EngineParts parts;
    auto idle = std::make_unique<IdleModel>();
    IdleModel* model = idle.get();
    parts.model = std::move(idle);
    parts.format = PromptFormat::FromParts("", std::make_unique<FakeTokenizer>(), "");
    parts.pool = std::make_unique<ThreadPool>(2);
    auto engine = BatchEngine::Make(std::move(parts), {.cache_tokens = 16384});
    ASSERT_TRUE(engine.ok());
    for (int i = 0; i < batch; ++i) {
      ASSERT_TRUE(
          (*engine)
              ->Submit({.prompt = {1, 2, 3}, .tokens_max = 1000, .ignore_end = true}, {}, {})
              .ok());
    }
    (*engine)->Step();
    double best_us = 1e9;
    for (int i = 0; i < 900; ++i) {
      (*engine)->Step();
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - model->forward_end;
      best_us = std::min(best_us, took.count());
    }
    std::printf("batch %d: %.1f us after the pass\n", batch, best_us);
  }
}

}  // namespace
}  // namespace tatara::generate
