// What an estimate counts, held against the kernels' own counters: of whole runs' steps, and of a
// pass counted up from single kernels.
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "base_model.h"
#include "estimate_clock.h"
#include "estimate_measure.h"
#include "tatara/learn/estimate.h"
#include "tatara/learn/run.h"
#include "tatara/learn/trainer.h"
#include "tatara/model/training_flops.h"
#include "tatara/numerics/flops.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

constexpr std::string_view kWhole = R"(
name = "whole"
[data]
text = "text.txt"
[model]
architecture = "llama"
n_layers = 3
n_embd = 16
n_heads = 4
n_kv_heads = 2
n_ff = 40
n_ctx = 24
window = 10
[training]
steps = 3
batch = 5
[optimizer]
learning_rate = 1e-3
[run]
sample_tokens = 0
)";
// In place of the steps.
std::string WithPhases() {
  std::string toml(kWhole);
  toml.erase(toml.find("steps = 3\n"), 10);
  return toml + R"(
[[phases]]
name = "short"
steps = 2
[[phases]]
name = "long"
steps = 3
model = { n_ctx = 70, n_layers = 4 }
training = { batch = 4 }
optimizer = { average = "lawa", average_every = 2 }
)";
}
constexpr std::string_view kAdapter = R"(
name = "adapter"
[data]
text = "text.txt"
[model]
from = "runs/base"
[adapter]
rank = 2
dropout = 0.1
[training]
steps = 3
batch = 6
context = 16
[run]
sample_tokens = 0
)";

double FlopsAsDouble() {
  return static_cast<double>(numerics::FlopsDone());
}

class EstimateCount : public testing::Test {
 protected:
  EstimateCount() {
    setenv("TATARA_HOME", (dir_.path() / "home").c_str(), 1);
    std::string text;
    for (int i = 0; i < 90; ++i) text += i % 3 == 0 ? "the iron sand. " : "a cat sees it. ";
    std::ofstream(dir_.path() / "text.txt") << text;
  }
  ~EstimateCount() override {
    MeterInstead() = nullptr;
    unsetenv("TATARA_HOME");
  }

  Recipe Read(const std::string& toml, const std::vector<std::string>& changes) {
    auto recipe = ParseRecipe(toml, "recipe.toml", changes);
    EXPECT_TRUE(recipe.ok()) << recipe.error().text();
    recipe->folder = dir_.path();
    return *recipe;
  }
  void MakeBase() {
    RunSink sink;
    const Recipe recipe = Read(std::string(kWhole), {"name=base", "model.window=0"});
    ASSERT_TRUE(RunTraining(recipe, {.out = dir_.path() / "runs/base"}, sink).ok());
  }
  double FlopsOfSteps(Recipe recipe) {
    ThreadPool pool(1);
    const auto data = OpenData(recipe, {.n_threads = 1}).value();
    const auto trainer = Trainer::Make(recipe, *data, pool).value();
    const double before = FlopsAsDouble();
    for (std::int64_t i = 0; i < recipe.training.steps; ++i) EXPECT_TRUE(trainer->Step(pool).ok());
    return FlopsAsDouble() - before;
  }
  void ExpectSameCount(const std::string& toml, const std::vector<std::string>& changes) {
    const Recipe recipe = Read(toml, changes);
    MeterInstead() = FlopsAsDouble;  // quick: nothing is measured here
    const auto estimate = EstimateRun(recipe, {.out = dir_.path()});
    MeterInstead() = nullptr;
    ASSERT_TRUE(estimate.ok()) << estimate.error().text();
    const std::string what = changes.empty() ? "as it is" : changes.front();
    EXPECT_EQ(estimate->flops, FlopsOfSteps(recipe)) << what;
    EXPECT_DOUBLE_EQ(estimate->kernel_flops_per_step * estimate->steps, estimate->flops) << what;
  }
  // Counted up, and asked of the kernels by the pass; `part` of it may differ.
  void ExpectCountedUp(const std::string& toml, const std::vector<std::string>& changes,
                       double part) {
    Recipe recipe = Read(toml, changes);
    ThreadPool pool(1);
    ASSERT_TRUE(OpenData(recipe, {.n_threads = 1}).ok());
    const auto trainable = MakeTrainable(recipe, pool).value();
    constexpr std::int64_t kSequences = 2;
    MeterInstead() = FlopsAsDouble;
    const PassSeconds counted =
        MeasureKernels(recipe, *trainable, {.n_sequences = kSequences}, pool);
    MeterInstead() = nullptr;
    const model::CountedPass pass{.n_sequences = kSequences,
                                  .n_tokens = recipe.training.context,
                                  .recompute = recipe.run.recompute};
    model::CountedPass forward = pass;
    forward.n_sequences = 1, forward.backward = false;
    const double train = model::TrainingFlops(*trainable, pass);
    EXPECT_NEAR(counted.train, train, part * train) << toml << changes.front();
    const double once = model::TrainingFlops(*trainable, forward);
    EXPECT_NEAR(counted.forward, once, part * once) << toml << changes.front();
  }

  test::ScratchDir dir_;
};

TEST_F(EstimateCount, OperationsAreThoseThatARunsStepsCount) {
  const std::string whole(kWhole);
  ExpectSameCount(whole, {});
  ExpectSameCount(whole, {"training.batch=7", "run.micro_batch=2", "run.recompute=true"});
  ExpectSameCount(whole, {"model.architecture=gpt2", "model.n_kv_heads=4", "model.window=0",
                          "training.attention_dropout=0.1"});
  ExpectSameCount(whole, {"optimizer.kind=muon"});
  ExpectSameCount(whole, {"model.architecture=gpt2", "model.n_kv_heads=4", "model.window=0",
                          "optimizer.kind=muon"});
  ExpectSameCount(WithPhases(), {});
}

TEST_F(EstimateCount, OperationsOfAdaptersAreThoseThatARunsStepsCount) {
  MakeBase();
  for (const char* kind : {"adapter.kind=lora", "adapter.kind=dora"}) {
    ExpectSameCount(std::string(kAdapter), {kind});
    ExpectSameCount(std::string(kAdapter), {kind, "adapter.quantised_base=true",
                                            "run.recompute=true", "training.batch=5"});
  }
}

TEST_F(EstimateCount, KernelsCountedUpAreAWholePass) {
  const std::string whole(kWhole);
  const double exact = 1e-9;
  ExpectCountedUp(whole, {"model.window=0"}, exact);
  ExpectCountedUp(whole, {"run.recompute=true"}, exact);
  ExpectCountedUp(whole, {"model.n_ff=3000"}, exact);  // cut to what is measured
  ExpectCountedUp(whole, {"model.architecture=gpt2", "model.n_kv_heads=4", "model.window=0"},
                  exact);
  ExpectCountedUp(whole, {"model.architecture=gemma3", "model.window_period=2"}, exact);
  // Attention over more tokens than are measured: but for what whole blocks add.
  ExpectCountedUp(whole, {"model.n_ctx=1300", "model.window=0"}, 0.02);
  MakeBase();
  for (const char* kind : {"adapter.kind=lora", "adapter.kind=dora"}) {
    ExpectCountedUp(std::string(kAdapter), {kind}, exact);
    ExpectCountedUp(std::string(kAdapter), {kind, "run.recompute=true"}, exact);
  }
}

TEST_F(EstimateCount, PhasesWorkersAndAveragesAreInIt) {
  MeterInstead() = FlopsAsDouble;
  const Recipe recipe = Read(WithPhases(), {});
  const auto one = EstimateRun(recipe, {.out = dir_.path()}).value();
  EXPECT_EQ(one.steps, 5);
  EXPECT_EQ(one.tokens, 2 * 5 * 24 + 3 * 4 * 70);
  const auto four = EstimateRun(recipe, {.n_workers = 4, .out = dir_.path()}).value();
  MeterInstead() = nullptr;
  EXPECT_GT(four.memory_of_all, 3 * four.memory.all());
  // The one that comes beside its own.
  EXPECT_DOUBLE_EQ(four.memory.gradients, 2 * one.memory.gradients);
  const auto n = static_cast<double>(one.n_parameters);
  EXPECT_GE(one.memory.weights, (12 + 6 * 4) * n);  // LAWA's mean and five copies
  EXPECT_FALSE(EstimateRun(recipe, {.n_workers = 8}).ok());
}

}  // namespace
}  // namespace tatara::learn
