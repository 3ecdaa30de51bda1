// Training from weights that are there: an adapter or all weights, over a small base that is
// trained here first. One digest however it is computed or stopped; what comes out is what the
// trainer has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "run_watcher.h"
#include "tatara/base/files.h"
#include "tatara/generate/engine.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run.h"
#include "tatara/learn/tuned.h"
#include "tatara/numerics/isa.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/adapter_file.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::string_view kBase = R"(
name = "base"
[data]
text = "text.txt"
[model]
architecture = "llama"
n_layers = 2
n_embd = 16
n_heads = 4
n_kv_heads = 2
n_ff = 32
n_ctx = 8
[training]
steps = 10
batch = 4
[optimizer]
learning_rate = 2e-2
[run]
sample_tokens = 0
)";
constexpr std::string_view kTuned = R"(
name = "tuned"
[data]
text = "text.txt"
[model]
from = "runs/base"
[adapter]
kind = "dora"
rank = 2
alpha = 4
dropout = 0.1
[training]
seed = 5
steps = 12
batch = 6
context = 8
[optimizer]
learning_rate = 1e-2
weight_decay = 0
[run]
sample_tokens = 0
validate_every = 6
checkpoint_every = 5
)";

class TuningTest : public testing::Test {
 protected:
  TuningTest() {
    setenv("TATARA_HOME", (dir_.path() / "home").c_str(), 1);
    std::string text;
    for (int i = 0; i < 60; ++i) text += i % 3 == 0 ? "the iron sand. " : "a cat sees it. ";
    std::ofstream(dir_.path() / "text.txt") << text;
    EXPECT_TRUE(Run(kBase, "runs/base").ok());
  }
  ~TuningTest() override { unsetenv("TATARA_HOME"); }
  Result<Recipe> Read(std::string_view toml, const std::vector<std::string>& changes) {
    TATARA_TRY(Recipe recipe, ParseRecipe(toml, "recipe.toml", changes));
    recipe.folder = dir_.path();
    return recipe;
  }
  Result<RunResult> Run(std::string_view toml, const std::string& out,
                        const std::vector<std::string>& changes = {}, int n_threads = 1,
                        bool resume = false, int stop_after = 0) {
    TATARA_TRY(const Recipe recipe, Read(toml, changes));
    sink_ = std::make_unique<RunWatcher>(stop_after);
    return RunTraining(
        recipe,
        {.out = dir_.path() / out, .n_threads = n_threads, .resume = resume, .stop = &sink_->stop},
        *sink_);
  }
  test::ScratchDir dir_;
  std::unique_ptr<RunWatcher> sink_;
};

TEST_F(TuningTest, AnAdapterHasOneDigestHoweverItIsComputed) {
  const auto want = Run(kTuned, "want");
  ASSERT_TRUE(want.ok()) << want.error().text();
  EXPECT_LT(sink_->losses.back(), sink_->losses.front());
  const numerics::Isa before = numerics::ActiveIsa();
  int i = 0;
  for (const numerics::Isa isa : numerics::AvailableIsas()) {
    numerics::SetActiveIsa(isa);
    for (const char* change :
         {"run.micro_batch=1", "run.recompute=true", "adapter.quantised_base=true"}) {
      const auto got = Run(kTuned, "other" + std::to_string(i++), {change}, 3);
      ASSERT_TRUE(got.ok()) << got.error().text();
      EXPECT_EQ(got->digest, want->digest) << change;
      EXPECT_EQ(got->recipe_digest, want->recipe_digest) << change;
    }
  }
  numerics::SetActiveIsa(before);
  const auto other = Run(kTuned, "rank3", {"adapter.rank=3"});
  EXPECT_NE(other->recipe_digest, want->recipe_digest);
}

TEST_F(TuningTest, StoppedAndResumedItGivesTheSameBits) {
  const std::vector<std::string> narrow = {"training.storage=bf16", "optimizer.moments=bf16"};
  std::string digests;
  for (const auto& changes : {std::vector<std::string>{}, narrow}) {
    const std::string out = "want" + std::to_string(changes.size());
    const auto want = Run(kTuned, out, changes);
    ASSERT_TRUE(want.ok());
    EXPECT_NE(want->digest, digests);
    digests = want->digest;
    ASSERT_FALSE(Run(kTuned, "stopped-" + out, changes, 1, false, 7)->finished);
    std::vector<std::string> other = changes;
    other.push_back("run.recompute=true");
    const auto got = Run(kTuned, "stopped-" + out, other, 2, true);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->digest, want->digest);
  }
}

TEST_F(TuningTest, APeftFolderHoldsTheTrainersAdapter) {
  for (const char* kind : {"adapter.kind=lora", "adapter.kind=dora"}) {
    const std::string out = kind;
    ASSERT_TRUE(Run(kTuned, out, {kind}).ok());
    auto recipe = Read(kTuned, {kind});
    ASSERT_TRUE(ResolveBase(*recipe).ok());
    const auto folder = WriteAdapterFolder(*recipe, dir_.path() / out);
    ASSERT_TRUE(folder.ok()) << folder.error().text();
    const auto base = weights::OpenTensorStore(recipe->base.path).value();
    const auto ours = weights::OpenAdapter(dir_.path() / out, base->metadata());
    const auto peft = weights::OpenAdapter(*folder, base->metadata());
    ASSERT_TRUE(ours.ok()) << ours.error().text();
    ASSERT_TRUE(peft.ok()) << peft.error().text();
    ASSERT_EQ(ours->parts.size(), 14U);
    ASSERT_EQ(peft->parts.size(), 14U);
    for (const auto& [name, part] : ours->parts) {
      const weights::AdapterPart& other = peft->parts.at(name);
      EXPECT_EQ(part.a.data, other.a.data) << name;
      EXPECT_EQ(part.b.data, other.b.data) << name;
      EXPECT_EQ(part.magnitude, other.magnitude) << name;
      EXPECT_EQ(part.scale, other.scale) << name;
      EXPECT_EQ(part.magnitude.empty(), out == "adapter.kind=lora");
    }
  }
}

TEST_F(TuningTest, ATunedModelIsFoundByItsName) {
  ASSERT_TRUE(Run(kTuned, "runs/tuned").ok());
  auto recipe = Read(kTuned, {});
  ASSERT_TRUE(ResolveBase(*recipe).ok());
  const auto model = RegisterTuned(*recipe, dir_.path() / "runs/tuned");
  ASSERT_TRUE(model.ok()) << model.error().text();
  const auto store = weights::ModelStore::Open().value();
  const auto found = store.Resolve("tuned");
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(found->base_sha256, recipe->base.sha256);
  EXPECT_EQ(store.DigestOf(*found).value(), recipe->base.sha256);
  auto engine = generate::Engine::Open(found->path.string(), {.n_threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().text();
  const auto facts = (*engine)->AddAdapter({.name = "tuned", .path = found->adapter.string()});
  ASSERT_TRUE(facts.ok()) << facts.error().text();
  const auto ids = (*engine)->tokenizer().Encode("the ", {.add_start = true});
  EXPECT_NE((*engine)->LogitsWith(ids, "tuned").value(), (*engine)->LogitsWith(ids, "").value());
  // The run and each of its checkpoints are the same, beside the same base.
  const auto run = store.Resolve((dir_.path() / "runs/tuned").string());
  ASSERT_TRUE(run.ok()) << run.error().text();
  EXPECT_EQ(run->path, found->path);
  EXPECT_FALSE(run->adapter.empty());
  // Tuned again it takes the old one's place; an adapter can not stand on an adapter.
  ASSERT_TRUE(RegisterTuned(*recipe, dir_.path() / "runs/tuned").ok());
  EXPECT_THAT(Run(kTuned, "twice", {"model.from=tuned"}).error().text(), HasSubstr("adapter"));
}

TEST_F(TuningTest, AllWeightsStartFromTheBase) {
  constexpr std::string_view kWhole = R"(
name = "whole"
[data]
text = "text.txt"
[model]
from = "runs/base"
[training]
steps = 6
batch = 6
context = 8
[optimizer]
learning_rate = 1e-3
[run]
sample_tokens = 0
)";
  const auto base = Run(kBase, "again");  // its loss of the last step is near where this starts
  const double last = sink_->losses.back();
  const auto whole = Run(kWhole, "runs/whole");
  ASSERT_TRUE(whole.ok()) << whole.error().text();
  EXPECT_NEAR(sink_->losses.front(), last, 0.5);
  EXPECT_EQ(whole->n_parameters, base->n_parameters);
  auto recipe = Read(kWhole, {});
  ASSERT_TRUE(ResolveBase(*recipe).ok());
  ASSERT_TRUE(RegisterTuned(*recipe, dir_.path() / "runs/whole").ok());
  const auto found = weights::ModelStore::Open()->Resolve("whole");
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_TRUE(found->adapter.empty());
  const auto one = generate::Engine::Open(found->path.string(), {.f32_activations = true});
  const auto two =
      generate::Engine::Open((dir_.path() / "runs/whole").string(), {.f32_activations = true});
  ASSERT_TRUE(one.ok() && two.ok());
  const auto ids = (*one)->tokenizer().Encode("the iron", {.add_start = true});
  EXPECT_EQ((*one)->AllLogits(ids).value(), (*two)->AllLogits(ids).value());
}

TEST_F(TuningTest, WhatDoesNotFitIsRefusedByName) {
  EXPECT_THAT(Run(kTuned, "a", {"model.n_embd=16"}).error().text(), HasSubstr("from"));
  EXPECT_THAT(Run(kTuned, "b", {"adapter.targets=attn_z"}).error().text(), HasSubstr("attn_z"));
  EXPECT_THAT(Run(kTuned, "c", {"training.context=64"}).error().text(), HasSubstr("64"));
  EXPECT_THAT(Run(kTuned, "d", {"model.from=nowhere"}).error().text(), HasSubstr("nowhere"));
  EXPECT_THAT(Run(kBase, "e", {"adapter.kind=lora"}).error().text(), HasSubstr("from"));
  EXPECT_THAT(Run(kTuned, "f", {"adapter.kind=low"}).error().text(), HasSubstr("lora"));
  // Another base under the same name is another run.
  ASSERT_TRUE(Run(kTuned, "g", {}, 1, false, 3).ok());
  fs::remove_all(dir_.path() / "runs/base");
  ASSERT_TRUE(Run(kBase, "runs/base", {"training.seed=9"}).ok());
  EXPECT_THAT(Run(kTuned, "g", {}, 1, true).error().text(), HasSubstr("another recipe"));
}

}  // namespace
}  // namespace tatara::learn
