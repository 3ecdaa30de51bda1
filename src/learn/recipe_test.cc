// Recipes: what is read, what is refused by name, digests and schedules.
#include "tatara/learn/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tatara::learn {
namespace {

using testing::HasSubstr;

constexpr std::string_view kBase = R"(
name = "x"
[data]
text = "t.txt"
[model]
n_layers = 1
n_embd = 8
n_heads = 2
n_ctx = 16
)";

Result<Recipe> With(const std::vector<std::string>& overrides) {
  return ParseRecipe(kBase, "x.toml", overrides);
}
std::string Refusal(const std::vector<std::string>& overrides) {
  const auto recipe = With(overrides);
  return recipe.ok() ? "" : recipe.error().text();
}

TEST(Recipe, ReadsValuesAndOverrides) {
  const auto recipe = With({"training.steps=7", "data.kind=char", "model.tied=false",
                            "optimizer.learning_rate=5e-4", "name=other"});
  ASSERT_TRUE(recipe.ok()) << recipe.error().text();
  EXPECT_EQ(recipe->training.steps, 7);
  EXPECT_EQ(recipe->training.context, 16);
  EXPECT_FALSE(recipe->model.tied);
  EXPECT_EQ(recipe->optimizer.learning_rate, 5e-4);
  EXPECT_EQ(recipe->name, "other");
}

TEST(Recipe, WhatItDoesNotKnowIsRefusedByName) {
  EXPECT_THAT(Refusal({"training.step=7"}), HasSubstr("did you mean 'steps'"));
  EXPECT_THAT(Refusal({"trainin.steps=7"}), HasSubstr("did you mean 'training'"));
  EXPECT_THAT(Refusal({"xyzzy=7"}), HasSubstr("there are name, data, model"));
  EXPECT_THAT(Refusal({"training.steps=0"}), HasSubstr("training.steps"));
  EXPECT_THAT(Refusal({"training.steps='many'"}), HasSubstr("training.steps is 'many'"));
  EXPECT_THAT(Refusal({"data.kind=3"}), HasSubstr("data.kind is 3; expected: a text"));
  EXPECT_THAT(Refusal({"run=3"}), HasSubstr("[run] is no table"));
  EXPECT_THAT(Refusal({"training.virtual_shards=3"}), HasSubstr("power of two"));
  EXPECT_THAT(Refusal({"training.context=17"}), HasSubstr("longer"));
  EXPECT_THAT(Refusal({"optimizer.schedule=steep"}), HasSubstr("'steep'"));
  EXPECT_THAT(Refusal({"optimizer.kind=sgd"}), HasSubstr("adamw, muon"));
  EXPECT_THAT(Refusal({"optimizer.average=mean"}), HasSubstr("ema"));
  EXPECT_THAT(Refusal({"optimizer.moments=f16"}), HasSubstr("f32, bf16"));
  EXPECT_THAT(Refusal({"training.storage=f16"}), HasSubstr("f32, bf16"));
  EXPECT_THAT(Refusal({"optimizer.learning_rate=nan"}), HasSubstr("learning_rate"));
  EXPECT_THAT(Refusal({"data.kind=parquet"}), HasSubstr("'parquet'"));
  EXPECT_THAT(Refusal({"name=../up"}), HasSubstr("'../up'"));
  EXPECT_THAT(Refusal({"data=3"}), HasSubstr("data"));
  EXPECT_THAT(Refusal({"steps"}), HasSubstr("section.key=value"));
  EXPECT_THAT(Refusal({".=1"}), HasSubstr("section.key=value"));
  EXPECT_FALSE(ParseRecipe("name = [", "x.toml", {}).ok());
}

TEST(Recipe, ItsDigestHoldsWhatWeightsDependOnAndNothingElse) {
  const std::string base = RecipeDigest(*With({}));
  EXPECT_EQ(RecipeDigest(*With(
                {"run.micro_batch=2", "run.recompute=true", "name=y", "run.checkpoint_every=3"})),
            base);
  for (const char* change :
       {"training.seed=9",       "training.batch=3",          "training.dropout=0.1",
        "optimizer.clip=2",      "optimizer.schedule=linear", "model.n_ff=9",
        "model.tied=false",      "data.validation=0.2",       "training.virtual_shards=2",
        "optimizer.beta2=0.9",   "model.architecture=llama",  "model.head_dim=6",
        "model.window=4",        "model.window_period=2",     "model.rope_base_window=5000.0",
        "model.score_cap=50.0",  "model.logit_cap=30.0",      "training.attention_dropout=0.1",
        "optimizer.kind=muon",   "optimizer.average=ema",     "optimizer.average=lawa",
        "run.on_spike=skip",     "run.on_spike=rollback",     "training.storage=bf16",
        "optimizer.moments=bf16"}) {
    EXPECT_NE(RecipeDigest(*With({change})), base) << change;
  }
}

// Runs that are there go on: a key that is not used does not show.
TEST(Recipe, DigestsOfOlderRecipesStay) {
  EXPECT_EQ(RecipeDigest(*With({})),
            "e794d9f745026718c23d95d1b8706be6fd8e40db7ad2987eabe0b699bacff8a2");
}

TEST(Schedule, FollowsItsFormula) {
  OptimizerRecipe o{.learning_rate = 1, .learning_rate_end = 0.1, .warmup_steps = 10};
  EXPECT_DOUBLE_EQ(LearningRate(o, 110, 0), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(o, 110, 9), 1);
  EXPECT_DOUBLE_EQ(LearningRate(o, 110, 10), 1);
  EXPECT_NEAR(LearningRate(o, 110, 60), 0.55, 1e-12);
  EXPECT_NEAR(LearningRate(o, 110, 35), 0.1 + 0.45 * (1 + std::cos(M_PI / 4)), 1e-12);
  o.schedule = Schedule::kLinear;
  EXPECT_NEAR(LearningRate(o, 110, 60), 0.55, 1e-12);
  o.schedule = Schedule::kConstant;
  EXPECT_EQ(LearningRate(o, 110, 100), 1);
  o.schedule = Schedule::kWarmupStableDecay;
  o.decay_steps = 20;
  EXPECT_EQ(LearningRate(o, 110, 89), 1);
  EXPECT_NEAR(LearningRate(o, 110, 100), 0.55, 1e-12);
}

}  // namespace
}  // namespace tatara::learn
