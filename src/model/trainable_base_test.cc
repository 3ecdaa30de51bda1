// Training over weights that are there: an adapter's gradients against PyTorch's autodiff
// (adapter_vectors.inc), the same bits however a batch is cut and the base is kept, and the logits
// of the model that runs with the adapter beside it.
#include "tatara/model/trainable_base.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model_test_support.h"
#include "tatara/model/adapter.h"
#include "tatara/numerics/isa.h"
#include "training_vectors.h"

namespace tatara::model {
namespace {

using testing::HasSubstr;

struct AdapterVector {
  const char* architecture;
  bool dora;
  double loss;
  std::vector<GradientVector> gradients;
};
const std::vector<AdapterVector> kVectors = {
#include "adapter_vectors.inc"
};

TrainableShape Shape(const std::string& architecture) {
  TrainableShape s{.architecture = architecture,
                   .n_vocab = 23,
                   .n_layers = 2,
                   .n_embd = 16,
                   .n_heads = 4,
                   .n_kv_heads = 4,
                   .n_ff = 64,
                   .n_ctx = 12};
  if (architecture != "gpt2") s.n_ff = 40, s.n_kv_heads = 2, s.norm_eps = 1e-6;
  if (architecture == "llama") s.tied = false, s.norm_eps = 1e-5;
  if (architecture == "qwen2") s.n_heads = 2, s.n_kv_heads = 1;
  if (architecture == "qwen3" || architecture.starts_with("gemma")) s.head_dim = 6;
  if (architecture.starts_with("gemma")) s.window = 3;
  if (architecture == "gemma2") s.score_cap = 1.5, s.logit_cap = 2;
  if (architecture == "gemma3") s.n_kv_heads = 1, s.window_period = 2, s.rope_base = 1e6;
  return s;
}

std::vector<float> Filled(const std::vector<Parameter>& parameters, std::int64_t n_values,
                          std::uint64_t seed) {
  std::vector<float> out(static_cast<std::size_t>(n_values));
  for (const Parameter& p : parameters) {
    const bool around_one = p.name.ends_with("norm.weight") || p.name.ends_with("magnitude");
    const std::vector<double> values = VectorValues(p.size(), seed++);
    for (std::size_t i = 0; i < values.size(); ++i) {
      out[static_cast<std::size_t>(p.offset) + i] =
          (around_one ? 1.0F : 0.0F) + static_cast<float>(values[i]) * 0.25F;
    }
  }
  return out;
}

std::shared_ptr<test::MemoryStore> StoreOf(const TrainableShape& shape, std::uint64_t seed = 1000) {
  const auto trainable = Trainable::Make(shape).value();
  const std::vector<float> weights = Filled(trainable->parameters(), trainable->n_values(), seed);
  auto store = std::make_shared<test::MemoryStore>();
  const Metadata keys = trainable->Keys();
  for (const auto& [name, value] : keys.values()) store->keys().Set(name, value);
  for (const Parameter& p : trainable->parameters()) {
    const float* from = weights.data() + p.offset;
    store->Set(p.name, p.n_rows, p.n_cols, {from, from + p.size()});
  }
  return store;
}

struct Case {
  Case(std::shared_ptr<test::MemoryStore> base, const AdapterShape& shape,
       const TrainableOptions& options = {})
      : store(std::move(base)), adapter(shape) {
    ThreadPool pool(2);
    auto made = MakeAdapterTrainable(store, adapter, options, pool);
    EXPECT_TRUE(made.ok()) << made.error().text();
    trainable = std::move(made).value();
    weights = Filled(trainable->parameters(), trainable->n_values(), 5000);
    for (const double v : VectorValues(60, 5)) {
      const auto id = static_cast<std::int32_t>((v + 1) / 2 * 23);
      (tokens.size() < 30 ? tokens : targets).push_back(id);
    }
    targets[7] = targets[20] = -1;
    first_keys.resize(30);
    for (std::size_t i = 14; i < 20; ++i) first_keys[i] = 4;
  }
  TrainingBatch Batch(int first, int end) const {
    const auto part = [&](const std::vector<std::int32_t>& all) {
      return std::span(all).subspan(static_cast<std::size_t>(first) * 10,
                                    static_cast<std::size_t>(end - first) * 10);
    };
    return {.n_sequences = end - first,
            .n_tokens = 10,
            .tokens = part(tokens),
            .targets = part(targets),
            .first_keys = part(first_keys),
            .first_sequence = first};
  }
  std::vector<float> Gradient(const std::vector<int>& cuts, int n_threads, double rate = 0) {
    std::vector<float> gradient(static_cast<std::size_t>(trainable->n_gradient_values()));
    ThreadPool pool(n_threads);
    loss = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      trainable->LossAndGradient(Batch(cuts[i], cuts[i + 1]), weights,
                                 {.rate = rate, .seed = 4, .step = 9}, gradient, loss, pool);
    }
    trainable->FinishGradient(gradient);
    return gradient;
  }
  // As PEFT's files have it.
  weights::AdapterFile File() const {
    weights::AdapterFile file;
    file.path = "trained";
    file.architecture = trainable->shape().architecture;
    for (const Parameter& p : trainable->parameters()) {
      const float* from = weights.data() + p.offset;
      const std::span<const float> values(from, static_cast<std::size_t>(p.size()));
      const std::size_t dot = p.name.rfind('.');
      weights::AdapterPart& part = file.parts[p.name.substr(0, dot)];
      part.scale = adapter.alpha / adapter.rank;
      if (p.name.ends_with("magnitude")) {
        part.magnitude.assign(values.begin(), values.end());
        continue;
      }
      weights::AdapterMatrix& matrix = p.name.ends_with("_a") ? part.a : part.b;
      const auto bytes = std::as_bytes(values);
      matrix.n_rows = p.n_rows;
      matrix.n_cols = p.n_cols;
      matrix.data = std::vector<std::byte>(bytes.begin(), bytes.end());
    }
    return file;
  }

  std::shared_ptr<test::MemoryStore> store;
  AdapterShape adapter;
  std::unique_ptr<Trainable> trainable;
  std::vector<float> weights;
  std::vector<std::int32_t> tokens, targets, first_keys;
  double loss = 0;
};

AdapterShape Rank3(bool dora) {
  return {.rank = 3, .alpha = 6, .dora = dora};
}

TEST(AdapterTraining, LossesAndGradientsAreThoseOfAnIndependentAutodiff) {
  for (const AdapterVector& want : kVectors) {
    Case c(StoreOf(Shape(want.architecture)), Rank3(want.dora));
    const std::vector<float> gradient = c.Gradient({0, 3}, 2);
    EXPECT_NEAR(c.loss, want.loss, 3e-5) << want.architecture;
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

TEST(AdapterTraining, CutsThreadsSetsAndRecomputationChangeNoBit) {
  const numerics::Isa before = numerics::ActiveIsa();
  for (const char* architecture : {"gpt2", "llama", "gemma3"}) {
    for (const auto& [dora, storage] :
         {std::pair{false, Storage::kF32}, {true, Storage::kF32}, {true, Storage::kBF16}}) {
      AdapterShape shape = Rank3(dora);
      shape.dropout = 0.2;
      const auto store = StoreOf(Shape(architecture));
      numerics::SetActiveIsa(numerics::Isa::kScalar);
      Case whole(store, shape, {.storage = storage});
      const std::vector<float> want = whole.Gradient({0, 3}, 1, 0.1);
      for (const numerics::Isa isa : numerics::AvailableIsas()) {
        numerics::SetActiveIsa(isa);
        for (const bool recompute : {false, true}) {
          Case cut(store, shape, {.recompute = recompute, .storage = storage});
          EXPECT_TRUE(test::SameBits(want, cut.Gradient({0, 1, 2, 3}, 3, 0.1))) << architecture;
          EXPECT_EQ(whole.loss, cut.loss);
        }
      }
    }
  }
  numerics::SetActiveIsa(before);
}

TEST(AdapterTraining, ShardsInOneCallGiveTheTreeOfTheirGradients) {
  for (const bool dora : {false, true}) {
    AdapterShape shape = Rank3(dora);
    shape.dropout = 0.2;
    Case c(StoreOf(Shape("llama")), shape);
    const std::vector<float> one = c.Gradient({0, 1}, 2), two = c.Gradient({1, 3}, 2);
    std::vector<float> got(one.size(), 7.0F);
    std::vector<double> losses(2);
    ThreadPool pool(3);
    c.trainable->GradientOfShards(c.Batch(0, 3), std::vector<std::int64_t>{1, 3}, c.weights,
                                  {.seed = 4, .step = 9}, got, losses, pool);
    for (const Parameter& p : c.trainable->parameters()) {
      for (std::int64_t i = p.offset; i < p.offset + p.size(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(got[at], one[at] + two[at]) << p.name;
      }
    }
    EXPECT_EQ(losses[1], c.loss);
  }
}

TEST(AdapterTraining, DroppedInputsHaveTheGradientOfTheSameDrawing) {
  AdapterShape shape = Rank3(false);
  shape.dropout = 0.3;
  Case c(StoreOf(Shape("llama")), shape);
  const std::vector<float> gradient = c.Gradient({0, 3}, 1);
  const std::vector<float> start = c.weights;
  const std::vector<double> way = VectorValues(static_cast<std::int64_t>(start.size()), 3);
  double along = 0, losses[2];
  for (std::size_t i = 0; i < start.size(); ++i) along += way[i] * gradient[i];
  for (const int side : {0, 1}) {
    for (std::size_t i = 0; i < start.size(); ++i)
      c.weights[i] = start[i] + static_cast<float>((side == 0 ? -1e-3 : 1e-3) * way[i]);
    c.Gradient({0, 3}, 1);
    losses[side] = c.loss;
  }
  EXPECT_NEAR((losses[1] - losses[0]) / 2e-3, along, 1e-2 * std::fabs(along) + 0.02);
}

// QLoRA: what stays in the file is multiplied as the same weights in f32 are.
TEST(AdapterTraining, AQuantisedBaseGivesTheBitsOfItsDequantisedWeights) {
  TrainableShape shape = Shape("llama");
  shape.n_embd = 64;
  shape.n_ff = 96;
  shape.n_heads = 2;
  for (const bool dora : {false, true}) {
    auto store = StoreOf(shape);
    store->Quantise();
    AdapterShape adapter = Rank3(dora);
    Case wide(store, adapter);
    adapter.quantised_base = true;
    Case kept(store, adapter);
    EXPECT_TRUE(test::SameBits(wide.Gradient({0, 3}, 2), kept.Gradient({0, 3}, 2)));
    EXPECT_EQ(wide.loss, kept.loss);
  }
}

TEST(AdapterTraining, TheModelWithTheAdapterBesideItGivesTheTrainersLogits) {
  for (const bool dora : {false, true}) {
    for (const char* architecture : {"gpt2", "llama", "qwen2", "qwen3", "gemma2", "gemma3"}) {
      Case c(StoreOf(Shape(architecture)), Rank3(dora));
      ThreadPool pool(2);
      auto model = Model::Load(c.store, {.activations = numerics::Activations::kF32}, pool);
      ASSERT_TRUE(model.ok()) << model.error().text();
      const auto adapter = Adapter::Make(c.File(), **model, 1, pool);
      ASSERT_TRUE(adapter.ok()) << adapter.error().text();
      auto kv = KvPool::Make((*model)->info().cache, (*model)->cache_type(), 1);
      const std::vector<std::int32_t> tokens(c.tokens.begin(), c.tokens.begin() + 10);
      std::vector<std::int32_t> rows(10);
      for (int i = 0; i < 10; ++i) rows[static_cast<std::size_t>(i)] = i;
      std::vector<float> running(10 * 23), training(10 * 23);
      const int page = 0;
      const SequenceSlice slice{
          .tokens = tokens, .pages = {&page, 1}, .logit_rows = rows, .adapter = adapter->get()};
      (*model)->Forward({&slice, 1}, **kv, pool, running);
      TrainingBatch batch = c.Batch(0, 1);
      batch.first_keys = {};
      c.trainable->Logits(batch, c.weights, training, pool);
      EXPECT_TRUE(test::SameBits(running, training)) << architecture << " " << dora;
    }
  }
}

TEST(AdapterTraining, ItStartsAsTheBase) {
  for (const bool dora : {false, true}) {
    const auto store = StoreOf(Shape("llama"));
    Case c(store, Rank3(dora));
    ThreadPool pool(2);
    c.trainable->Initialise(7, c.weights, pool);
    const auto base = Trainable::Make(c.trainable->shape()).value();
    std::vector<float> weights(static_cast<std::size_t>(base->n_values()));
    ASSERT_TRUE(TakeWeights(*store, *base, weights, pool).ok());
    std::vector<float> want(300 / 10 * 23), got(want.size());
    TrainingBatch batch = c.Batch(0, 3);
    base->Logits(batch, weights, want, pool);
    c.trainable->Logits(batch, c.weights, got, pool);
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(want[i], got[i], 1e-5);
  }
}

TEST(AdapterTraining, OnlyTheNamedMatricesHaveAnAdapter) {
  AdapterShape shape = Rank3(false);
  shape.targets = {"attn_q", "attn_v"};
  Case c(StoreOf(Shape("llama")), shape);
  ASSERT_EQ(c.trainable->parameters().size(), 8U);
  EXPECT_EQ(c.trainable->parameters()[2].name, "blk.0.attn_v.weight.lora_a");
  shape.targets = {"attn_w"};
  ThreadPool pool(1);
  EXPECT_THAT(MakeAdapterTrainable(c.store, shape, {}, pool).error().text(), HasSubstr("attn_q"));
  Case fused(StoreOf(Shape("gpt2")), Rank3(false));
  EXPECT_THAT(MakeAdapterTrainable(fused.store, shape, {}, pool).error().text(),
              HasSubstr("there are attn_qkv, attn_output, ffn_up, ffn_down"));
}

TEST(ShapeOfWeights, IsReadBackAndWhatIsNotTrainedIsRefused) {
  for (const char* architecture : {"gpt2", "llama", "qwen2", "qwen3", "gemma2", "gemma3"}) {
    auto store = StoreOf(Shape(architecture));
    const auto shape = ShapeOf(*store);
    ASSERT_TRUE(shape.ok()) << shape.error().text();
    EXPECT_EQ(Trainable::Make(*shape).value()->Keys().values(),
              Trainable::Make(Shape(architecture)).value()->Keys().values());
    store->keys().Set(std::string(architecture) + ".rope.scaling.type", std::string("none"));
    EXPECT_TRUE(ShapeOf(*store).ok());
    store->keys().Set(std::string(architecture) + ".rope.scaling.factor", 8.0);
    EXPECT_THAT(ShapeOf(*store).error().text(), HasSubstr("rope.scaling.factor"));
  }
  auto store = StoreOf(Shape("llama"));
  store->Add("rope_freqs.weight", 1, 2);
  EXPECT_THAT(ShapeOf(*store).error().text(), HasSubstr("rope_freqs"));
  store->Remove("rope_freqs.weight");
  store->Remove("blk.1.ffn_up.weight");
  EXPECT_THAT(ShapeOf(*store).error().text(), HasSubstr("ffn_up"));
  store->keys().Set("general.architecture", std::string("bert"));
  EXPECT_FALSE(ShapeOf(*store).ok());
}

}  // namespace
}  // namespace tatara::model
