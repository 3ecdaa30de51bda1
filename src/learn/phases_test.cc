// [[phases]]: what they change, growth in depth, and that stops anywhere change no bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "grow.h"
#include "run_watcher.h"
#include "tatara/base/files.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/replay.h"
#include "tatara/learn/run.h"
#include "tatara/learn/run_folder.h"
#include "tatara/numerics/isa.h"
#include "tatara/weights/tensor_store.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::string_view kPhased = R"(
name = "phased"
[data]
text = "text.txt"
validation = 0.2
[model]
architecture = "llama"
n_layers = 2
n_embd = 16
n_heads = 2
n_ctx = 8
[training]
seed = 5
batch = 4
[optimizer]
learning_rate = 1e-2
[run]
validate_every = 6
checkpoint_every = 5
sample_every = 100
[[phases]]
name = "short"
steps = 12
[[phases]]
name = "long"
steps = 8
model = { n_ctx = 16, rope_base = 1e6 }
training = { batch = 2 }
optimizer = { learning_rate = 5e-3, average = "ema", average_decay = 0.5 }
[[phases]]
name = "deep"
steps = 7
model = { n_ctx = 16, rope_base = 1e6, n_layers = 3 }
training = { new_blocks = "identity" }
optimizer = { learning_rate = 1e-3 }
)";

class PhasesTest : public testing::Test {
 protected:
  PhasesTest() {
    std::string text;
    for (int i = 0; i < 90; ++i) text += "iron sand " + std::to_string(i) + ". ";
    std::ofstream(dir_.path() / "text.txt") << text;
  }
  Result<Recipe> Parse(const std::string& more = "",
                       const std::vector<std::string>& overrides = {}) {
    TATARA_TRY(Recipe recipe, ParseRecipe(std::string(kPhased) + more, "phased.toml", overrides));
    recipe.folder = dir_.path();
    return recipe;
  }
  Result<RunResult> Train(const std::string& out, int n_threads = 1, bool resume = false,
                          int stop_after = 0, const std::vector<std::string>& overrides = {}) {
    RunWatcher sink(stop_after);
    TATARA_TRY(const Recipe recipe, Parse("", overrides));
    return RunTraining(
        recipe,
        {.out = dir_.path() / out, .n_threads = n_threads, .resume = resume, .stop = &sink.stop},
        sink);
  }
  test::ScratchDir dir_;
};

TEST_F(PhasesTest, EachChangesWhatItNamesAndNothingElse) {
  const auto recipe = Parse();
  ASSERT_TRUE(recipe.ok()) << recipe.error().text();
  ASSERT_EQ(recipe->phases.size(), 3U);
  EXPECT_EQ(recipe->training.steps, 27);
  EXPECT_EQ(recipe->phases[0].training.context, 8);
  EXPECT_EQ(recipe->phases[1].training.context, 16);
  EXPECT_EQ(recipe->phases[1].training.batch, 2);
  EXPECT_EQ(recipe->phases[2].training.batch, 4);
  EXPECT_EQ(recipe->phases[2].model.n_layers, 3);
  EXPECT_EQ(recipe->phases[2].training.seed, 5U);
  EXPECT_NE(RecipeDigest(*recipe),
            RecipeDigest(*Parse("[[phases]]\nname = \"more\"\nsteps = 1\n")));
}

TEST_F(PhasesTest, StopsAnywhereAndOtherMachinesGiveTheSameBits) {
  const auto want = Train("whole");
  ASSERT_TRUE(want.ok()) << want.error().text();
  EXPECT_EQ(want->steps, 27);
  const numerics::Isa before = numerics::ActiveIsa();
  for (const int piece : {12, 7}) {
    const std::string out = "cut" + std::to_string(piece);
    numerics::SetActiveIsa(numerics::Isa::kScalar);
    ASSERT_FALSE(Train(out, 3, false, piece)->finished);
    numerics::SetActiveIsa(before);
    ASSERT_FALSE(Train(out, 1, true, 8)->finished);
    const auto got = Train(out, 2, true);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->digest, want->digest) << piece;
    EXPECT_EQ(got->validation_loss, want->validation_loss);
  }
  const auto replayed = ReplayRun(dir_.path() / "whole", {.first_step = 1, .last_step = 27});
  ASSERT_TRUE(replayed.ok()) << replayed.error().text();
  EXPECT_TRUE(replayed->ok) << replayed->first_difference;
}

TEST_F(PhasesTest, RollingBackGoesNoFurtherThanThePhase) {
  const std::vector<std::string> changes = {"run.on_spike=rollback", "run.spike_sigma=1.8",
                                            "run.spike_window=3", "run.spikes_max=1000",
                                            "run.checkpoint_every=100"};
  const auto want = Train("whole", 1, false, 0, changes);
  ASSERT_TRUE(want.ok()) << want.error().text();
  const std::string metrics =
      ReadWholeFile(dir_.path() / "whole" / "metrics.jsonl", 1 << 24).value();
  EXPECT_THAT(metrics, HasSubstr("rollback"));
  ASSERT_FALSE(Train("cut", 2, false, 14, changes)->finished);
  const auto got = Train("cut", 1, true, 0, changes);
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_EQ(got->digest, want->digest);
}

TEST_F(PhasesTest, WhatDoesNotFollowIsRefused) {
  const auto refusal = [&](const std::string& more) {
    RunWatcher sink(1);
    auto recipe = Parse(more);
    if (!recipe.ok()) return recipe.error().text();
    const auto run = RunTraining(*recipe, {.out = dir_.path() / "refused"}, sink);
    return run.ok() ? std::string() : run.error().text();
  };
  const std::string phase = "[[phases]]\nname = \"x\"\nsteps = 3\n";
  EXPECT_THAT(refusal(phase), HasSubstr("no fewer layers"));
  EXPECT_THAT(refusal(phase + "model = { n_layers = 3, n_embd = 32 }\n"),
              HasSubstr("does not follow"));
  EXPECT_THAT(refusal("[[phases]]\nname = \"x\"\n"), HasSubstr("name and steps"));
  EXPECT_THAT(refusal(phase + "run = 3\n"), HasSubstr("'run'"));
  EXPECT_THAT(refusal(phase + "model = { n_layer = 3 }\n"), HasSubstr("n_layers"));
  EXPECT_THAT(Parse("", {"training.steps=3"}).error().text(), HasSubstr("training.steps"));
  EXPECT_THAT(Parse("", {"phases=3"}).error().text(), HasSubstr("[[phases]]"));
}

TEST(Grow, NewBlocksAreCopiesOrAddNothing) {
  model::TrainableShape shape{
      .architecture = "llama", .n_vocab = 11, .n_layers = 4, .n_embd = 8, .n_heads = 2, .n_ctx = 6};
  const auto from = model::Trainable::Make(shape).value();
  shape.n_layers = 6;
  const auto to = model::Trainable::Make(shape).value();
  ASSERT_TRUE(CheckGrowth(*from, *to, "deep").ok());
  ThreadPool pool(1);
  std::vector<float> weights(static_cast<std::size_t>(from->n_values()));
  from->Initialise(3, weights, pool);
  const std::vector<std::int32_t> tokens = {1, 5, 2, 9, 0, 3};
  const auto logits = [&](model::Trainable& model, const std::vector<float>& w) {
    std::vector<float> out(6 * 11);
    model.Logits({.n_sequences = 1, .n_tokens = 6, .tokens = tokens}, w, out, pool);
    return out;
  };
  std::vector<float> grown(static_cast<std::size_t>(to->n_values()));
  Grow(*from, weights, *to, NewBlocks::kIdentity, grown);
  EXPECT_EQ(logits(*from, weights), logits(*to, grown));
  Grow(*from, weights, *to, NewBlocks::kCopy, grown);
  EXPECT_NE(logits(*from, weights), logits(*to, grown));
  // Layers 0 0 1 2 2 3 of the four.
  const auto first = [](const model::Trainable& model, const std::vector<float>& w, int layer) {
    for (const model::Parameter& p : model.parameters()) {
      if (p.name == "blk." + std::to_string(layer) + ".ffn_down.weight")
        return w[static_cast<std::size_t>(p.offset)];
    }
    return 0.0F;
  };
  const int sources[] = {0, 0, 1, 2, 2, 3};
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(first(*to, grown, i), first(*from, weights, sources[i])) << i;
  }
}

// Each checkpoint is the model that its phase trained: its layers, context and rotary positions.
TEST_F(PhasesTest, EveryCheckpointHasTheKeysOfItsPhase) {
  ASSERT_TRUE(Train("run", 1, false, 0, {"run.checkpoints_kept=9"}).ok());
  const auto shape_at = [&](std::int64_t step) {
    const auto store = weights::OpenTensorStore(CheckpointPath(dir_.path() / "run", step));
    EXPECT_TRUE(store.ok()) << step;
    const auto shape = model::ShapeOf(**store);
    EXPECT_TRUE(shape.ok()) << shape.error().text();
    return *shape;
  };
  EXPECT_EQ(shape_at(12).n_ctx, 8);
  EXPECT_EQ(shape_at(12).rope_base, 10000);
  EXPECT_EQ(shape_at(15).n_ctx, 16);
  EXPECT_EQ(shape_at(15).rope_base, 1e6);
  EXPECT_EQ(shape_at(15).n_layers, 2);
  EXPECT_EQ(shape_at(27).n_layers, 3);
  const auto store = weights::OpenTensorStore(dir_.path() / "run");
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(model::ShapeOf(**store)->n_layers, 3);
}

constexpr std::string_view kContinued = R"(
name = "continued"
[data]
text = "text.txt"
validation = 0.2
[model]
from = "./base"
[training]
seed = 6
batch = 4
[optimizer]
learning_rate = 2e-3
[run]
checkpoint_every = 5
sample_every = 100
[[phases]]
name = "same"
steps = 6
[[phases]]
name = "long"
steps = 6
model = { n_ctx = 16, rope_base = 1e6, window = 12 }
[[phases]]
name = "deep"
steps = 5
model = { n_ctx = 16, rope_base = 1e6, window = 12, n_layers = 3 }
)";

class FromABase : public PhasesTest {
 protected:
  FromABase() {
    setenv("TATARA_HOME", (dir_.path() / "home").c_str(), 1);
    const auto base = Run(R"(
name = "base"
[data]
text = "text.txt"
validation = 0.2
[model]
architecture = "llama"
n_layers = 2
n_embd = 16
n_heads = 2
n_ctx = 8
[training]
steps = 30
batch = 4
[optimizer]
learning_rate = 2e-2
)",
                          "base");
    EXPECT_TRUE(base.ok()) << base.error().text();
  }
  ~FromABase() override { unsetenv("TATARA_HOME"); }
  Result<RunResult> Run(std::string_view toml, const std::string& out,
                        const std::vector<std::string>& changes = {}, int n_threads = 1,
                        bool resume = false, int stop_after = 0) {
    RunWatcher sink(stop_after);
    TATARA_TRY(Recipe recipe, ParseRecipe(toml, "recipe.toml", changes));
    recipe.folder = dir_.path();
    return RunTraining(
        recipe,
        {.out = dir_.path() / out, .n_threads = n_threads, .resume = resume, .stop = &sink.stop},
        sink);
  }
};

TEST_F(FromABase, ContextAndDepthGrowFromTheBasesWeights) {
  const auto want = Run(kContinued, "whole");
  ASSERT_TRUE(want.ok()) << want.error().text();
  EXPECT_EQ(want->steps, 17);
  const auto metrics = ReadMetrics(dir_.path() / "whole").value();
  const auto base = ReadMetrics(dir_.path() / "base").value();
  // It goes on from where the base ended, not from a random start.
  EXPECT_NEAR(*metrics.at(1).loss, *base.at(30).loss, 0.5);
  EXPECT_LT(*metrics.at(1).loss, *base.at(1).loss - 0.5);
  const auto store = weights::OpenTensorStore(dir_.path() / "whole").value();
  const auto shape = model::ShapeOf(*store).value();
  EXPECT_EQ(shape.n_ctx, 16);
  EXPECT_EQ(shape.n_layers, 3);
  EXPECT_EQ(shape.window, 12);
  for (const int piece : {4, 6, 7, 14}) {
    const std::string out = "cut" + std::to_string(piece);
    ASSERT_FALSE(Run(kContinued, out, {}, 2, false, piece)->finished);
    const auto got = Run(kContinued, out, {}, 2, true);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->digest, want->digest) << piece;
  }
  const auto replay = ReplayRun(dir_.path() / "whole", {.first_step = 8});
  ASSERT_TRUE(replay.ok()) << replay.error().text();
  EXPECT_TRUE(replay->ok) << replay->first_difference;
}

constexpr std::string_view kOnce = R"(
name = "once"
[data]
text = "text.txt"
[model]
from = "./base"
n_ctx = 16
rope_base = 1e6
[training]
steps = 4
batch = 4
)";

TEST_F(FromABase, WithoutPhasesTooAndWhatCanNotChangeIsRefused) {
  ASSERT_TRUE(Run(kOnce, "once").ok());
  const auto store = weights::OpenTensorStore(dir_.path() / "once").value();
  EXPECT_EQ(model::ShapeOf(*store)->n_ctx, 16);
  EXPECT_EQ(model::ShapeOf(*store)->rope_base, 1e6);
  ASSERT_TRUE(Run(kOnce, "deeper", {"model.n_layers=3"}).ok());
  EXPECT_THAT(Run(kOnce, "a", {"model.n_embd=32"}).error().text(), HasSubstr("n_embd"));
  EXPECT_THAT(Run(kOnce, "b", {"model.n_layers=1"}).error().text(), HasSubstr("no fewer layers"));
  EXPECT_THAT(Run(kOnce, "c", {"adapter.rank=2"}).error().text(), HasSubstr("adapter"));
  EXPECT_THAT(Run(kOnce, "d", {"training.context=32"}).error().text(), HasSubstr("32"));
  EXPECT_THAT(Run(kContinued, "e", {"training.steps=9"}).error().text(), HasSubstr("phases"));
}

TEST_F(FromABase, AnAdaptersPhasesChangeItsRatesAndLengths) {
  constexpr std::string_view kAdapter = R"(
name = "phased-adapter"
[data]
text = "text.txt"
validation = 0.2
[model]
from = "./base"
[adapter]
rank = 2
[training]
batch = 4
[run]
checkpoint_every = 3
[[phases]]
name = "short"
steps = 5
training = { context = 4 }
[[phases]]
name = "long"
steps = 5
training = { context = 8 }
optimizer = { learning_rate = 1e-4 }
)";
  const auto want = Run(kAdapter, "whole");
  ASSERT_TRUE(want.ok()) << want.error().text();
  ASSERT_FALSE(Run(kAdapter, "cut", {}, 2, false, 6)->finished);
  EXPECT_EQ(Run(kAdapter, "cut", {}, 2, true)->digest, want->digest);
}

}  // namespace
}  // namespace tatara::learn
