// Decoders that train: losses and gradients against PyTorch's autodiff (training_vectors.inc), the
// same bits however a batch is cut and computed, and the logits of the model that runs.
#include "tatara/model/trainable.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model_test_support.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/isa.h"
#include "training_vectors.h"

namespace tatara::model {
namespace {

struct TrainingVector {
  const char* architecture;
  double loss;
  std::vector<GradientVector> gradients;
};
const std::vector<TrainingVector> kVectors = {
#include "training_vectors.inc"
};

TrainableShape ShapeOf(const std::string& architecture) {
  TrainableShape s{.architecture = architecture,
                   .n_vocab = 23,
                   .n_layers = 2,
                   .n_embd = 16,
                   .n_heads = 4,
                   .n_kv_heads = 4,
                   .n_ff = 64,
                   .n_ctx = 12};
  if (architecture != "gpt2") s.n_ff = 40;
  if (architecture == "llama") s.n_kv_heads = 2, s.tied = false;
  if (architecture == "qwen2") s.n_heads = 2, s.n_kv_heads = 1, s.norm_eps = 1e-6;
  if (architecture == "mistral") {  // llama with a window
    s.architecture = "llama";
    s.n_kv_heads = 2;
    s.window = 4;
    s.head_dim = 6;
  }
  if (architecture == "qwen3") s.n_kv_heads = 2, s.norm_eps = 1e-6, s.head_dim = 6;
  if (architecture == "gemma2") {
    s.n_kv_heads = 2, s.norm_eps = 1e-6, s.head_dim = 6;
    s.window = 3;
    s.score_cap = 1.5;
    s.logit_cap = 2;
  }
  if (architecture == "gemma3") {
    s.n_kv_heads = 1, s.norm_eps = 1e-6, s.head_dim = 6;
    s.window = 3;
    s.window_period = 2;
    s.rope_base = 1e6;
  }
  return s;
}

const std::vector<const char*> kArchitectures = {"gpt2",  "llama",  "mistral", "qwen2",
                                                 "qwen3", "gemma2", "gemma3"};

struct Case {
  explicit Case(const std::string& architecture, const TrainableOptions& options = {})
      : trainable(std::move(Trainable::Make(ShapeOf(architecture), options)).value()) {
    weights.resize(static_cast<std::size_t>(trainable->n_values()));
    std::uint64_t seed = 1000;
    for (const Parameter& p : trainable->parameters()) {
      const float middle = p.name.ends_with("norm.weight") ? 1.0F : 0.0F;
      const std::vector<double> values = VectorValues(p.size(), seed++);
      for (std::size_t i = 0; i < values.size(); ++i) {
        weights[static_cast<std::size_t>(p.offset) + i] =
            middle + static_cast<float>(values[i]) * 0.25F;
      }
    }
    for (const double v : VectorValues(60, 5)) {
      const auto id = static_cast<std::int32_t>((v + 1) / 2 * 23);
      (tokens.size() < 30 ? tokens : targets).push_back(id);
    }
    targets[7] = targets[20] = -1;
    first_keys.resize(30);
    for (int i = 14; i < 20; ++i) first_keys[static_cast<std::size_t>(i)] = 4;
  }

  // Sequences first .. end - 1 of the three.
  TrainingBatch Batch(std::int64_t first, std::int64_t end) const {
    const auto from = static_cast<std::size_t>(first * 10),
               n = static_cast<std::size_t>(end * 10) - from;
    return {.n_sequences = end - first,
            .n_tokens = 10,
            .tokens = std::span(tokens).subspan(from, n),
            .targets = std::span(targets).subspan(from, n),
            .first_keys = std::span(first_keys).subspan(from, n),
            .first_sequence = first};
  }

  // The gradient, then the loss, of the batch cut before each of `cuts`.
  std::vector<float> Gradient(const std::vector<std::int64_t>& cuts, int n_threads,
                              double rate = 0) {
    ThreadPool pool(n_threads);
    std::vector<float> gradient(static_cast<std::size_t>(trainable->n_gradient_values()));
    loss = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      trainable->LossAndGradient(Batch(cuts[i], cuts[i + 1]), weights, {rate, 3, 8, rate}, gradient,
                                 loss, pool);
    }
    trainable->FinishGradient(gradient);
    return gradient;
  }

  // Of shards that end before those sequences, all in one call; then their losses.
  std::vector<float> GradientOfShards(const std::vector<std::int64_t>& ends, int n_threads,
                                      double rate) {
    ThreadPool pool(n_threads);
    std::vector<float> gradient(static_cast<std::size_t>(trainable->n_values()));
    for (const Parameter& p : trainable->parameters()) {
      std::fill_n(gradient.begin() + p.offset, p.size(), 7.0F);  // is to be overwritten
    }
    losses.assign(ends.size(), 0.0);
    trainable->GradientOfShards(Batch(0, 3), ends, weights, {rate, 3, 8, rate}, gradient, losses,
                                pool);
    return gradient;
  }

  std::unique_ptr<Trainable> trainable;
  std::vector<float> weights;
  std::vector<std::int32_t> tokens, targets, first_keys;
  std::vector<double> losses;
  double loss = 0;
};

TEST(Trainable, LossesAndGradientsAreThoseOfAnIndependentAutodiff) {
  for (const TrainingVector& want : kVectors) {
    Case c(want.architecture);
    const std::vector<float> gradient = c.Gradient({0, 3}, 2);
    EXPECT_NEAR(c.loss, want.loss, 2e-5) << want.architecture;
    const auto& parameters = c.trainable->parameters();
    ASSERT_EQ(parameters.size(), want.gradients.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Parameter& p = parameters[i];
      ASSERT_EQ(p.name, want.gradients[i].name);
      const std::vector<double> signs = VectorValues(p.size(), 77);
      double sum = 0, magnitude = 0, projection = 0;
      for (std::size_t j = 0; j < signs.size(); ++j) {
        const double g = gradient[static_cast<std::size_t>(p.offset) + j];
        sum += g;
        magnitude += std::fabs(g);
        projection += g * signs[j];
      }
      const double tolerance = 1e-5 * std::max(1.0, want.gradients[i].magnitude);
      EXPECT_NEAR(sum, want.gradients[i].sum, tolerance) << want.architecture << " " << p.name;
      EXPECT_NEAR(magnitude, want.gradients[i].magnitude, tolerance) << p.name;
      EXPECT_NEAR(projection, want.gradients[i].projection, tolerance) << p.name;
    }
  }
}

// Two ways through the head: over all rows where it trains, over those with targets where not.
TEST(Trainable, ALossByItselfIsThatOfTheGradient) {
  for (const char* architecture : kArchitectures) {
    Case c(architecture);
    c.targets[0] = c.targets[9] = c.targets[29] = -1;
    c.Gradient({0, 3}, 2);
    ThreadPool pool(2);
    double loss = 0;
    c.trainable->Loss(c.Batch(0, 3), c.weights, loss, pool);
    EXPECT_EQ(loss, c.loss) << architecture;
    std::ranges::fill(c.targets, -1);
    loss = 0;
    c.trainable->Loss(c.Batch(0, 3), c.weights, loss, pool);
    EXPECT_EQ(loss, 0) << architecture;
  }
}

TEST(Trainable, CutsThreadsSetsAndRecomputationChangeNoBit) {
  const numerics::Isa before = numerics::ActiveIsa();
  for (const char* architecture : kArchitectures) {
    for (const auto& [rate, storage] :
         {std::pair{0.0, Storage::kF32}, {0.2, Storage::kF32}, {0.2, Storage::kBF16}}) {
      numerics::SetActiveIsa(numerics::Isa::kScalar);
      Case whole(architecture, {.storage = storage});
      const std::vector<float> want = whole.Gradient({0, 3}, 1, rate);
      for (const numerics::Isa isa : numerics::AvailableIsas()) {
        numerics::SetActiveIsa(isa);
        for (const bool recompute : {false, true}) {
          Case cut(architecture, {.recompute = recompute, .storage = storage});
          EXPECT_TRUE(test::SameBits(want, cut.Gradient({0, 1, 2, 3}, 3, rate))) << architecture;
          EXPECT_EQ(whole.loss, cut.loss);
          EXPECT_TRUE(test::SameBits(want, cut.Gradient({0, 2, 3}, 1, rate))) << architecture;
        }
      }
    }
  }
  numerics::SetActiveIsa(before);
}

TEST(Trainable, ShardsInOneCallGiveTheTreeOfTheirGradients) {
  for (const std::string architecture : {"gpt2", "llama", "qwen2", "qwen3", "gemma2", "gemma3"}) {
    for (const double rate : {0.0, 0.2}) {
      // Shards of one, no, one and one sequence; one of all.
      Case c(architecture);
      std::vector<std::vector<float>> one;
      std::vector<double> losses;
      for (const auto& [first, end] : {std::pair{0, 1}, {1, 1}, {1, 2}, {2, 3}}) {
        one.push_back(c.Gradient({first, end}, 2, rate));
        one.back().resize(static_cast<std::size_t>(c.trainable->n_values()));
        losses.push_back(c.loss);
      }
      std::vector<float> want(one[0].size());
      for (std::size_t i = 0; i < want.size(); ++i) {
        want[i] = (one[0][i] + one[1][i]) + (one[2][i] + one[3][i]);
      }
      for (const int n_threads : {1, 3}) {
        EXPECT_TRUE(test::SameBits(want, c.GradientOfShards({1, 1, 2, 3}, n_threads, rate)))
            << architecture;
        EXPECT_EQ(c.losses, losses) << architecture;
      }
      std::vector<float> whole = c.Gradient({0, 3}, 2, rate);
      whole.resize(want.size());
      EXPECT_TRUE(test::SameBits(whole, c.GradientOfShards({3}, 2, rate))) << architecture;
      EXPECT_EQ(c.losses[0], c.loss);
    }
  }
}

// |a - b| / |b|.
double RelativeDistance(const std::vector<float>& a, const std::vector<float>& b) {
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    apart += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    size += double{b[i]} * b[i];
  }
  return std::sqrt(apart / size);
}

// A rounding to bf16 is off by 2^-9 at most; the dozens of a layer add up to 1.1 % here at most.
TEST(Trainable, GradientsOfWhatIsStoredAsBF16AreNearThoseOfF32) {
  for (const TrainingVector& want : kVectors) {
    Case wide(want.architecture), narrow(want.architecture, {.storage = Storage::kBF16});
    const std::vector<float> exact = wide.Gradient({0, 3}, 2);
    const std::vector<float> gradient = narrow.Gradient({0, 3}, 2);
    const double apart = RelativeDistance(gradient, exact);
    EXPECT_GT(apart, 1e-5) << want.architecture << ": nothing was rounded";
    EXPECT_LT(apart, 2e-2) << want.architecture;
    EXPECT_NEAR(narrow.loss, wide.loss, 2e-3 * wide.loss) << want.architecture;
    EXPECT_NEAR(narrow.loss, want.loss, 2e-3 * want.loss) << want.architecture;
  }
}

// Along the gradient itself, by central differences of the loss that rounds nothing.
TEST(Trainable, GradientsOfWhatIsStoredAsBF16AreTheSlopeOfTheLoss) {
  for (const char* architecture : kArchitectures) {
    Case c(architecture, {.storage = Storage::kBF16});
    const std::vector<float> gradient = c.Gradient({0, 3}, 1);
    const std::vector<float> start = c.weights;
    double squares = 0, losses[2] = {};
    for (std::size_t i = 0; i < start.size(); ++i) squares += double{gradient[i]} * gradient[i];
    const double step = 1e-2 / std::sqrt(squares);
    ThreadPool pool(1);
    for (const int side : {0, 1}) {
      for (std::size_t i = 0; i < start.size(); ++i)
        c.weights[i] = start[i] + static_cast<float>((side == 0 ? -step : step) * gradient[i]);
      c.trainable->Loss(c.Batch(0, 3), c.weights, losses[side], pool);
    }
    EXPECT_NEAR((losses[1] - losses[0]) / (2 * step) / squares, 1, 1e-2) << architecture;
  }
}

TEST(Trainable, WhatKeepsNothingForTheWayBackIsNotRounded) {
  for (const char* architecture : {"gpt2", "gemma3"}) {
    Case wide(architecture), narrow(architecture, {.storage = Storage::kBF16});
    ThreadPool pool(1);
    double loss = 0, other = 0;
    wide.trainable->Loss(wide.Batch(0, 3), wide.weights, loss, pool);
    narrow.Gradient({0, 3}, 1);
    narrow.trainable->Loss(narrow.Batch(0, 3), narrow.weights, other, pool);
    EXPECT_EQ(loss, other);
    EXPECT_NE(loss, narrow.loss);
    std::vector<float> want(10 * 23), got(10 * 23);
    wide.trainable->Logits(wide.Batch(0, 1), wide.weights, want, pool);
    narrow.trainable->Logits(narrow.Batch(0, 1), narrow.weights, got, pool);
    EXPECT_TRUE(test::SameBits(want, got));
  }
}

TEST(Trainable, GradientsUnderDropoutAreThoseOfTheSameDrawing) {
  for (const char* architecture : {"gpt2", "llama", "gemma2", "gemma3"}) {
    Case c(architecture);
    const std::vector<float> gradient = c.Gradient({0, 3}, 1, 0.3);
    const std::vector<float> start = c.weights;
    const std::vector<double> way = VectorValues(static_cast<std::int64_t>(start.size()), 3);
    double along = 0, losses[2];
    for (std::size_t i = 0; i < start.size(); ++i) along += way[i] * gradient[i];
    for (const int side : {0, 1}) {
      for (std::size_t i = 0; i < start.size(); ++i)
        c.weights[i] = start[i] + static_cast<float>((side == 0 ? -1e-3 : 1e-3) * way[i]);
      c.Gradient({0, 3}, 1, 0.3);
      losses[side] = c.loss;
    }
    EXPECT_NEAR((losses[1] - losses[0]) / 2e-3, along, 1e-2 * std::fabs(along) + 0.02);
  }
}

TEST(Trainable, TheModelThatRunsGivesTheTrainersLogits) {
  for (const char* architecture : kArchitectures) {
    Case c(architecture);
    auto store = std::make_shared<test::MemoryStore>();
    const Metadata keys = c.trainable->Keys();
    for (const auto& [name, value] : keys.values()) store->keys().Set(name, value);
    for (const Parameter& p : c.trainable->parameters()) {
      const float* from = c.weights.data() + p.offset;
      store->Set(p.name, p.n_rows, p.n_cols, {from, from + p.size()});
    }
    ThreadPool pool(2);
    auto model = Model::Load(store, {.activations = numerics::Activations::kF32}, pool);
    ASSERT_TRUE(model.ok()) << model.error().text();
    auto kv = KvPool::Make((*model)->info().cache, (*model)->cache_type(), 1);
    ASSERT_TRUE(kv.ok());
    test::Sequence sequence(**model, **kv, {0});
    const std::vector<std::int32_t> tokens(c.tokens.begin(), c.tokens.begin() + 10);
    const std::vector<float> running = sequence.Run(tokens, pool);
    std::vector<float> training(10 * 23);
    TrainingBatch batch = c.Batch(0, 1);
    batch.first_keys = {};
    c.trainable->Logits(batch, c.weights, training, pool);
    EXPECT_TRUE(test::SameBits(running, training)) << architecture;
  }
}

TEST(Trainable, WhereSomethingIsNotFiniteIsNamed) {
  Case c("gemma3");
  ThreadPool pool(1);
  EXPECT_EQ(c.trainable->FirstNotFinite(c.Batch(0, 3), c.weights, pool), "");
  const std::vector<float> whole = c.weights;
  const std::vector<std::pair<std::string, std::string>> places = {
      {"blk.1.ffn_norm.weight", "blk.1"}, {"output_norm.weight", "output_norm"}};
  for (const auto& [name, where] : places) {
    for (const Parameter& p : c.trainable->parameters()) {
      if (p.name == name) c.weights[static_cast<std::size_t>(p.offset) + 3] = INFINITY;
    }
    EXPECT_EQ(c.trainable->FirstNotFinite(c.Batch(0, 3), c.weights, pool), where);
    c.weights = whole;
  }
}

TEST(Trainable, StartsFromTheSeedAlone) {
  Case c("gpt2");
  std::vector<float> a(c.weights.size()), b(c.weights.size(), 7.0F);
  ThreadPool one(1), three(3);
  c.trainable->Initialise(1, a, one);
  c.trainable->Initialise(1, b, three);
  EXPECT_TRUE(test::SameBits(a, b));
  c.trainable->Initialise(2, b, one);
  EXPECT_FALSE(test::SameBits(a, b));
  const Parameter& embedding = c.trainable->parameters().front();
  double squares = 0;
  for (std::int64_t i = 0; i < embedding.size(); ++i) squares += double{a[i]} * a[i];
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(embedding.size())), 0.02, 0.003);
}

TEST(Trainable, ShapesThatDoNotFitAreRefused) {
  const auto refused = [](auto change) {
    TrainableShape s = ShapeOf("llama");
    change(s);
    const auto made = Trainable::Make(s);
    return made.ok() ? std::string() : made.error().text();
  };
  EXPECT_THAT(refused([](auto& s) { s.architecture = "rwkv"; }), testing::HasSubstr("'rwkv'"));
  EXPECT_THAT(refused([](auto& s) { s.n_vocab = 0; }), testing::HasSubstr("n_vocab is 0"));
  EXPECT_THAT(refused([](auto& s) { s.n_embd = -5; }), testing::HasSubstr("n_embd is -5"));
  EXPECT_THAT(refused([](auto& s) { s.n_heads = 3; }), testing::HasSubstr("multiple"));
  EXPECT_THAT(refused([](auto& s) { s.n_kv_heads = 3; }), testing::HasSubstr("key heads"));
  EXPECT_THAT(refused([](auto& s) { s.n_heads = s.n_kv_heads = 16; }), testing::HasSubstr("even"));
  EXPECT_THAT(refused([](auto& s) { s.norm_eps = NAN; }), testing::HasSubstr("norm_eps"));
  EXPECT_THAT(refused([](auto& s) { s.head_dim = 5; }), testing::HasSubstr("even"));
  EXPECT_THAT(refused([](auto& s) { s.head_dim = 1 << 20; }), testing::HasSubstr("head_dim"));
  EXPECT_THAT(refused([](auto& s) { s.window = -1; }), testing::HasSubstr("window"));
  EXPECT_THAT(refused([](auto& s) { s.window_period = 2; }), testing::HasSubstr("window_period"));
  EXPECT_THAT(refused([](auto& s) { s.score_cap = 50; }), testing::HasSubstr("score_cap"));
  EXPECT_THAT(refused([](auto& s) { s.architecture = "gemma2", s.logit_cap = NAN; }),
              testing::HasSubstr("logit_cap"));
}

}  // namespace
}  // namespace tatara::model
