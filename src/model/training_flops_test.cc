// The count made beforehand is the kernels' own, to the operation.
#include "tatara/model/training_flops.h"

#include <gtest/gtest.h>

#include <vector>

#include "model_test_support.h"
#include "tatara/model/trainable_base.h"
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

constexpr std::int64_t kSequences = 3, kTokens = 150;

// What one call asks of the kernels, beside what is counted beforehand.
void ExpectSameCounts(Trainable& trainable, std::vector<float>& weights, const CountedPass& pass,
                      const std::string& what) {
  ThreadPool pool(2);
  std::vector<float> gradient(static_cast<std::size_t>(trainable.n_gradient_values()));
  const std::vector<std::int32_t> tokens(kSequences * kTokens, 7);
  const TrainingBatch batch{
      .n_sequences = kSequences, .n_tokens = kTokens, .tokens = tokens, .targets = tokens};
  const TrainingDropout dropout{.seed = 1, .attention_rate = pass.attention_drops ? 0.1 : 0.0};
  double loss = 0;
  const std::uint64_t before = numerics::FlopsDone();
  if (pass.backward) {
    trainable.LossAndGradient(batch, weights, dropout, gradient, loss, pool);
  } else {
    trainable.Loss(batch, weights, loss, pool);
  }
  EXPECT_EQ(static_cast<double>(numerics::FlopsDone() - before), TrainingFlops(trainable, pass))
      << what;
}

void ExpectSameCounts(Trainable& trainable, bool recompute, const std::string& what) {
  ThreadPool pool(2);
  std::vector<float> weights(static_cast<std::size_t>(trainable.n_values()));
  trainable.Initialise(1, weights, pool);
  const CountedPass pass{.n_sequences = kSequences, .n_tokens = kTokens, .recompute = recompute};
  CountedPass drops = pass, forward = pass;
  drops.attention_drops = true;
  forward.backward = false;
  const std::string form = what + (recompute ? ", recomputed" : "");
  ExpectSameCounts(trainable, weights, pass, form);
  ExpectSameCounts(trainable, weights, drops, form + ", with dropout");
  ExpectSameCounts(trainable, weights, forward, form + ", forward");
}

TEST(TrainingFlops, AreThoseThatTheKernelsCount) {
  for (const TrainableShape& shape : Shapes()) {
    for (const bool recompute : {false, true}) {
      auto trainable = Trainable::Make(shape, {.recompute = recompute}).value();
      ExpectSameCounts(*trainable, recompute, shape.architecture);
    }
  }
}

std::shared_ptr<test::MemoryStore> StoreOf(const TrainableShape& shape) {
  const auto trainable = Trainable::Make(shape).value();
  auto store = std::make_shared<test::MemoryStore>();
  const Metadata keys = trainable->Keys();
  for (const auto& [name, value] : keys.values()) store->keys().Set(name, value);
  for (const Parameter& p : trainable->parameters()) {
    store->Set(p.name, p.n_rows, p.n_cols,
               std::vector<float>(static_cast<std::size_t>(p.size()), 0.01F));
  }
  return store;
}

// A frozen head is multiplied, forward and back, for tokens that count only.
TEST(TrainingFlops, OfAnAdapterAreFewerByTheHeadsOfTokensThatDoNotCount) {
  ThreadPool pool(2);
  for (const TrainableShape& shape : Shapes()) {
    auto trainable = MakeAdapterTrainable(StoreOf(shape), {.rank = 2}, {}, pool).value();
    std::vector<float> weights(static_cast<std::size_t>(trainable->n_values()));
    trainable->Initialise(1, weights, pool);
    std::vector<float> gradient(static_cast<std::size_t>(trainable->n_gradient_values()));
    const std::vector<std::int32_t> tokens(kSequences * kTokens, 7);
    const auto flops = [&](const std::vector<std::int32_t>& targets) {
      const std::uint64_t before = numerics::FlopsDone();
      double loss = 0;
      trainable->LossAndGradient(
          {.n_sequences = kSequences, .n_tokens = kTokens, .tokens = tokens, .targets = targets},
          weights, {}, gradient, loss, pool);
      return numerics::FlopsDone() - before;
    };
    std::vector<std::int32_t> some = tokens;
    std::fill_n(some.begin() + 5, 200, -1);
    EXPECT_EQ(flops(tokens) - flops(some), std::uint64_t{2 * 2 * 200} *
                                               static_cast<std::uint64_t>(shape.n_embd) *
                                               static_cast<std::uint64_t>(shape.n_vocab))
        << shape.architecture;
    EXPECT_EQ(static_cast<double>(flops(some)),
              TrainingFlops(*trainable, {.n_sequences = kSequences,
                                         .n_tokens = kTokens,
                                         .n_targets = kSequences * kTokens - 200}))
        << shape.architecture;
  }
}

TEST(TrainingFlops, OfAdaptersAreThoseThatTheKernelsCount) {
  ThreadPool pool(2);
  for (const TrainableShape& shape : Shapes()) {
    const auto store = StoreOf(shape);
    for (const bool recompute : {false, true}) {
      for (const AdapterShape& adapter :
           {AdapterShape{.rank = 4}, AdapterShape{.rank = 4, .dora = true},
            AdapterShape{
                .rank = 2, .dropout = 0.1, .targets = {"ffn_down"}, .quantised_base = true},
            AdapterShape{.rank = 2, .targets = {"ffn_up"}}}) {
        auto trainable =
            MakeAdapterTrainable(store, adapter, {.recompute = recompute}, pool).value();
        ExpectSameCounts(*trainable, recompute,
                         shape.architecture + (adapter.dora ? " DoRA" : " LoRA") + " on " +
                             (adapter.targets.empty() ? "all" : adapter.targets[0]));
      }
    }
  }
}

}  // namespace
}  // namespace tatara::model
