// Steps of a very small run, replayed: equal on every instruction set with any threads, and every
// changed record named.
#include "tatara/learn/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tatara/base/files.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/probe.h"
#include "tatara/learn/run.h"
#include "tatara/learn/run_folder.h"
#include "tatara/numerics/isa.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::string_view kTwin = R"(
name = "twin"
[data]
text = "text.txt"
validation = 0.2
[model]
architecture = "llama"
n_layers = 2
n_embd = 16
n_heads = 2
n_ff = 32
n_ctx = 8
[training]
steps = 24
batch = 6
dropout = 0.1
[run]
validate_every = 6
checkpoint_every = 5
checkpoints_kept = 9
digest_every = 3
sample_tokens = 0
)";

class ReplayTest : public testing::Test {
 protected:
  ReplayTest() {
    std::string text;
    for (int i = 0; i < 60; ++i) text += i % 3 == 0 ? "the iron sand. " : "猫は鉄を見る。";
    std::ofstream(dir_.path() / "text.txt") << text;
    Train({"training.seed=9"}, run());
  }
  std::string Train(const std::vector<std::string>& changes, const fs::path& out) {
    Recipe recipe = ParseRecipe(kTwin, "twin.toml", changes).value();
    recipe.folder = dir_.path();
    RunSink quiet;
    const auto result = RunTraining(recipe, {.out = out, .n_threads = 2}, quiet);
    EXPECT_TRUE(result.ok()) << result.error().text();
    return result.ok() ? result->digest : "";
  }
  fs::path run() const { return dir_.path() / "run"; }
  ReplayedRun Replay(std::int64_t first, std::int64_t last, int n_threads = 1) {
    const auto report =
        ReplayRun(run(), {.first_step = first, .last_step = last, .n_threads = n_threads});
    EXPECT_TRUE(report.ok()) << report.error().text();
    return report.ok() ? *report : ReplayedRun{};
  }
  std::string Read(const fs::path& file) { return ReadWholeFile(run() / file, 1 << 24).value(); }
  // The first difference that a replay of all steps finds after the change.
  std::string AfterChange(const fs::path& file, const std::string& from, const std::string& to) {
    const std::string whole = Read(file);
    std::string changed = whole;
    const std::size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) changed.replace(at, from.size(), to);
    std::ofstream(run() / file, std::ios::binary) << changed;
    const auto report = ReplayRun(run(), {});
    std::ofstream(run() / file, std::ios::binary) << whole;
    if (!report.ok()) return report.error().text();
    EXPECT_EQ(report->ok, report->first_difference.empty());
    return report->first_difference;
  }
  // A digit of the value of `key` in the line of `step`.
  std::string AfterChangedDigit(std::int64_t step, const std::string& key) {
    const std::string metrics = Read("metrics.jsonl");
    const std::string start = "{\"step\":" + std::to_string(step) + ",";
    std::size_t at = 0;
    std::string line;
    do {
      at = metrics.find(start, at);
      line = metrics.substr(at, metrics.find('\n', at) - at);
      ++at;
    } while (line.find("\"" + key + "\":") == std::string::npos);
    std::string changed = line;
    std::size_t digit = line.find("\"" + key + "\":") + key.size() + 5;
    while (changed[digit] < '0' || changed[digit] > '8') ++digit;
    ++changed[digit];
    return AfterChange("metrics.jsonl", line, changed);
  }

  test::ScratchDir dir_;
};

TEST_F(ReplayTest, AllStepsAreEqualOnEverySetWithAnyThreads) {
  const numerics::Isa before = numerics::ActiveIsa();
  int n_threads = 1;
  for (const numerics::Isa isa : numerics::AvailableIsas()) {
    numerics::SetActiveIsa(isa);
    const ReplayedRun report = Replay(0, 0, n_threads++);
    EXPECT_TRUE(report.ok) << report.first_difference;
    EXPECT_EQ(report.n_steps_run, 24);
    EXPECT_EQ(report.n_values, 24 * 3 + 4);
    EXPECT_GE(report.n_digests, 8 + 2 * 4);
  }
  numerics::SetActiveIsa(before);
}

TEST_F(ReplayTest, ARangeStartsFromTheLastCheckpointBeforeIt) {
  const ReplayedRun report = Replay(12, 17);
  EXPECT_TRUE(report.ok) << report.first_difference;
  EXPECT_EQ(report.started_from, 10);
  EXPECT_EQ(report.n_steps_run, 7);
  EXPECT_EQ(Replay(5, 6).started_from, 0);  // the checkpoint of step 5 is after step 5
  EXPECT_EQ(Replay(7, 7).started_from, 6);  // the best by validation
  for (const auto& [first, last] : {std::pair{20, 25}, {26, 0}, {9, 8}}) {
    EXPECT_FALSE(ReplayRun(run(), {.first_step = first, .last_step = last}).ok());
  }
}

TEST_F(ReplayTest, AChangedNumberOrDigestIsNamedWithItsStep) {
  EXPECT_THAT(AfterChangedDigit(11, "loss"), HasSubstr("step 11: loss: recorded"));
  EXPECT_THAT(AfterChangedDigit(3, "gradient_norm"), HasSubstr("step 3: gradient_norm"));
  EXPECT_THAT(AfterChangedDigit(24, "learning_rate"), HasSubstr("step 24: learning_rate"));
  EXPECT_THAT(AfterChangedDigit(12, "validation_loss"), HasSubstr("step 12: validation_loss"));
  EXPECT_THAT(AfterChangedDigit(9, "weights"), HasSubstr("step 9: digest of the weights"));
  EXPECT_THAT(AfterChange("metrics.jsonl", "{\"step\":4,", "{\"step\":5,"),
              HasSubstr("step 4: metrics.jsonl"));
  EXPECT_THAT(AfterChange("metrics.jsonl", "{\"step\":4,", "x\"step\":4,"), HasSubstr("jsonl:"));
}

TEST_F(ReplayTest, AChangedRecipeDataOrCheckpointIsNamed) {
  EXPECT_THAT(AfterChange("recipe.json", "\"adamw\"", "\"adamx\""), HasSubstr("recipe: "));
  EXPECT_THAT(AfterChange("source.json", "seed=9", "seed=8"), HasSubstr("recipe: "));
  EXPECT_THAT(AfterChange("data.json", "training_tokens", "training_tokenz"), HasSubstr("data: "));
  const fs::path info = fs::path("checkpoints") / "step-00000010" / "checkpoint.json";
  const auto digests = ReadCheckpointDigests(CheckpointPath(run(), 10));
  EXPECT_THAT(AfterChange(info, digests->weights.substr(0, 8), "00000000"),
              HasSubstr("step-00000010/weights.safetensors"));
  EXPECT_THAT(AfterChange(info, digests->optimizer.substr(0, 8), "00000000"),
              HasSubstr("step-00000010/optimizer.safetensors"));
}

// What is suspect is so by a very small sigma, so that there is much of it.
TEST_F(ReplayTest, SkippedStepsAndRollbacksComeOutAgain) {
  for (const std::string policy : {"skip", "rollback"}) {
    const fs::path out = dir_.path() / policy;
    const std::string digest =
        Train({"run.on_spike=" + policy, "run.spike_sigma=2.5", "run.spike_window=4",
               "run.checkpoint_every=4", "run.checkpoints_kept=99", "training.steps=40",
               "run.spikes_max=100", "training.seed=5"},
              out);
    const std::string metrics = ReadWholeFile(out / "metrics.jsonl", 1 << 20).value();
    EXPECT_THAT(metrics, HasSubstr("\"event\":\"" + policy));
    for (const std::int64_t first : {1, 18, 33}) {
      const auto report = ReplayRun(out, {.first_step = first});
      ASSERT_TRUE(report.ok()) << report.error().text();
      EXPECT_TRUE(report->ok) << policy << " " << report->first_difference;
      EXPECT_EQ(report->weights, digest);
      EXPECT_EQ(report->started_from > 0, first > 1);
    }
    EXPECT_TRUE(ReplayRun(out, {.first_step = 9, .last_step = 14})->ok);
  }
}

TEST_F(ReplayTest, AProbeOfItsCheckpointsStopsWhereItIsAskedTo) {
  StopFlag stop;
  EXPECT_GT(ProbeCheckpoints(run(), {.stop = &stop}).value().size(), 1U);
  stop.Set();
  const auto stopped = ProbeCheckpoints(run(), {.stop = &stop});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kCancelled);
}

TEST_F(ReplayTest, ACheckpointsRecordThatNestsTooDeeplyIsRefused) {
  const fs::path path = CheckpointPath(run(), 5);
  std::ofstream(path / "checkpoint.json") << std::string(100000, '[') << std::string(100000, ']');
  EXPECT_THAT(ReadCheckpointDigests(path).error().text(), HasSubstr("not the record"));
}

TEST_F(ReplayTest, ItNeedsTheDataAndSaysSo) {
  fs::rename(dir_.path() / "text.txt", dir_.path() / "moved.txt");
  EXPECT_EQ(ReplayRun(run(), {}).error().kind(), ErrorKind::kNotFound);
  fs::create_directories(dir_.path() / "elsewhere");
  fs::rename(dir_.path() / "moved.txt", dir_.path() / "elsewhere" / "text.txt");
  EXPECT_TRUE(ReplayRun(run(), {.data_folder = dir_.path() / "elsewhere"})->ok);
  std::ofstream(dir_.path() / "elsewhere" / "text.txt", std::ios::app) << "t";
  EXPECT_THAT(ReplayRun(run(), {.data_folder = dir_.path() / "elsewhere"})->first_difference,
              HasSubstr("data: "));
}

}  // namespace
}  // namespace tatara::learn
