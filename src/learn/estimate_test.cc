#include "tatara/learn/estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "test_support.h"

namespace tatara::learn {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSmall = R"(
name = "small"
[data]
kind = "stated"
source = "a shelf"
[model]
architecture = "llama"
n_vocab = 100
n_layers = 3
n_embd = 64
n_heads = 4
n_ff = 128
n_ctx = 32
tied = false
[training]
steps = 100
batch = 8
virtual_shards = 4
[run]
validate_every = 10
sample_tokens = 0
[estimate]
watts = 100
price_kwh = 0.5
devices = 4
device_flops = 1e12
utilisation = 0.5
device_watts = 1000
device_price_hour = 2
)";

Estimate EstimateOf(const std::vector<std::string>& changes, bool by_kernels = false) {
  const test::ScratchDir dir;
  const auto recipe = ParseRecipe(kSmall, "small.toml", changes);
  EXPECT_TRUE(recipe.ok()) << recipe.error().text();
  const auto estimate =
      EstimateRun(*recipe, {.n_threads = 1, .out = dir.path(), .by_kernels = by_kernels});
  EXPECT_TRUE(estimate.ok()) << estimate.error().text();
  return estimate.ok() ? *estimate : Estimate{};
}

TEST(LossLaw, GivesThePublishedLossOfChinchilla) {
  EXPECT_NEAR(LossByLaw(kHoffmann, 70e9, 1.4e12), 1.9366, 1e-4);
  EXPECT_NEAR(LossByLaw(kBesiroglu, 70e9, 1.4e12), 1.9739, 1e-4);
  EXPECT_TRUE(ExpectLoss(7e9, 140e9, 32000).out_of_range.empty());
  EXPECT_EQ(ExpectLoss(1e6, 1e6, 65).out_of_range.size(), 3U);
  EXPECT_THAT(ExpectLoss(8.1e9, 2e12, 32000).out_of_range,
              testing::ElementsAre(HasSubstr("tokens")));
}

TEST(Estimate, CountsFollowFromTheRecipe) {
  const Estimate e = EstimateOf({});
  EXPECT_EQ(e.tokens, 100 * 8 * 32);
  EXPECT_EQ(e.steps, 100);
  EXPECT_EQ(e.flops, 100 * e.kernel_flops_per_step);
  const double n = static_cast<double>(e.n_parameters);
  EXPECT_GE(e.memory.weights, 12 * n);
  EXPECT_LT(e.memory.weights, 12.1 * n);
  EXPECT_DOUBLE_EQ(e.memory.gradients, e.memory.weights / 3);  // a pass takes all shards
  const EstimatedMemory parts = EstimateOf({"run.micro_batch=1"}).memory;
  EXPECT_DOUBLE_EQ(parts.gradients, parts.weights);  // log2(4) + 1 of them
  EXPECT_GT(e.time.passes, 0);
  EXPECT_GT(e.time.optimizer, 0);
  EXPECT_EQ(e.time.validation, 0);  // there is no data
  EXPECT_FALSE(e.notes.empty());
  EXPECT_NEAR(e.here.kilowatt_hours, e.time.all() / 3600 * 0.1, 1e-12);
  EXPECT_NEAR(e.here.money, e.here.kilowatt_hours * 0.5, 1e-12);
  EXPECT_GT(e.devices.seconds, 0);
  EXPECT_NEAR(e.devices.money, e.devices.kilowatt_hours * 0.5 + e.devices.seconds / 3600 * 4 * 2,
              1e-12);
  EXPECT_EQ(EstimateOf({"estimate.tokens=1e6"}).tokens, 1e6);
}

TEST(Estimate, StorageAsBF16TakesLessMemoryAndNoOtherOperations) {
  const std::vector<std::string> deep = {"model.n_layers=24", "training.virtual_shards=1"};
  std::vector<std::string> narrow = deep;
  narrow.insert(narrow.end(), {"training.storage=bf16", "optimizer.moments=bf16"});
  const Estimate wide = EstimateOf(deep), e = EstimateOf(narrow);
  EXPECT_EQ(e.flops, wide.flops);
  EXPECT_NEAR(e.memory.weights, wide.memory.weights * 8 / 12, 1e-2 * wide.memory.weights);
  EXPECT_NEAR(e.memory.writing, wide.memory.writing / 2, 1e-2 * wide.memory.writing);
  EXPECT_LT(e.memory.activations, 0.65 * wide.memory.activations);
  EXPECT_GT(e.memory.activations, 0.45 * wide.memory.activations);
}

TEST(Estimate, IsMadeFromKernelsWhereAsked) {
  const Estimate pass = EstimateOf({}), kernels = EstimateOf({}, true);
  EXPECT_FALSE(pass.by_kernels);
  EXPECT_TRUE(kernels.by_kernels);
  EXPECT_GT(kernels.time.passes, 0);
  EXPECT_EQ(kernels.kernel_flops_per_step, pass.kernel_flops_per_step);
}

TEST(Estimate, StopsWhereItIsAskedTo) {
  const test::ScratchDir dir;
  const Recipe recipe = ParseRecipe(kSmall, "small.toml", {}).value();
  StopFlag stop;
  stop.Set();
  const auto estimate = EstimateRun(recipe, {.out = dir.path(), .stop = &stop});
  ASSERT_FALSE(estimate.ok());
  EXPECT_EQ(estimate.error().kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(EstimateRun(recipe, {.out = dir.path()}).ok());
}

TEST(Estimate, ARecipeWithoutAVocabularyNeedsItsData) {
  const auto recipe = ParseRecipe(kSmall, "small.toml", {"model.n_vocab=1"});
  ASSERT_TRUE(recipe.ok());
  Recipe without = *recipe;
  without.model.n_vocab = 0;
  EXPECT_THAT(EstimateRun(without, {}).error().text(), HasSubstr("a shelf"));
}

}  // namespace
}  // namespace tatara::learn
