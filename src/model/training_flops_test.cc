// The count made beforehand is the kernels' own, to the operation.
#include "tatara/model/training_flops.h"

#include <gtest/gtest.h>

#include <vector>

#include "tatara/numerics/flops.h"

namespace tatara::model {
namespace {

std::vector<TrainableShape> Shapes() {
  const TrainableShape gpt2{.architecture = "gpt2",
                            .n_vocab = 50,
                            .n_layers = 3,
                            .n_embd = 32,
                            .n_heads = 4,
                            .n_ctx = 160};
  TrainableShape llama = gpt2, window = gpt2, gemma = gpt2;
  llama.architecture = "llama", llama.n_kv_heads = 2, llama.n_ff = 72, llama.tied = false;
  window = llama, window.window = 20;
  gemma = llama, gemma.architecture = "gemma3", gemma.head_dim = 16, gemma.window = 40;
  gemma.window_period = 2, gemma.tied = true;
  return {gpt2, llama, window, gemma};
}

TEST(TrainingFlops, AreThoseThatTheKernelsCount) {
  ThreadPool pool(2);
  for (const TrainableShape& shape : Shapes()) {
    for (const bool recompute : {false, true}) {
      auto trainable = Trainable::Make(shape, {.recompute = recompute}).value();
      std::vector<float> weights(static_cast<std::size_t>(trainable->n_values()));
      trainable->Initialise(1, weights, pool);
      std::vector<float> gradient(static_cast<std::size_t>(trainable->n_gradient_values()));
      constexpr std::int64_t kSequences = 3, kTokens = 150;
      const std::vector<std::int32_t> tokens(kSequences * kTokens, 7);
      const TrainingBatch batch{
          .n_sequences = kSequences, .n_tokens = kTokens, .tokens = tokens, .targets = tokens};
      double loss = 0;
      for (const double rate : {0.0, 0.1}) {
        const TrainingDropout dropout{.seed = 1, .attention_rate = rate};
        std::uint64_t before = numerics::FlopsDone();
        trainable->LossAndGradient(batch, weights, dropout, gradient, loss, pool);
        EXPECT_EQ(static_cast<double>(numerics::FlopsDone() - before),
                  TrainingFlops(*trainable, {.n_sequences = kSequences,
                                             .n_tokens = kTokens,
                                             .recompute = recompute,
                                             .attention_drops = rate > 0}))
            << shape.architecture << " " << recompute << " " << rate;
      }
      const std::uint64_t before = numerics::FlopsDone();
      trainable->Loss(batch, weights, loss, pool);
      EXPECT_EQ(static_cast<double>(numerics::FlopsDone() - before),
                TrainingFlops(*trainable,
                              {.n_sequences = kSequences, .n_tokens = kTokens, .backward = false}))
          << shape.architecture;
    }
  }
}

}  // namespace
}  // namespace tatara::model
