// A very small twin of recipes/shakespeare-char.toml: one digest whatever the instruction set,
// threads, micro-batches and stops; what is refused; that it learns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "run_watcher.h"
#include "tatara/base/files.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/estimate.h"
#include "tatara/learn/run.h"
#include "tatara/numerics/isa.h"
#include "test_support.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;
using test::ScratchDir;
using testing::HasSubstr;

constexpr std::string_view kTwin = R"(
name = "twin"
[data]
text = "text.txt"
validation = 0.2
[model]
architecture = "gpt2"
n_layers = 2
n_embd = 16
n_heads = 2
n_ctx = 8
[training]
seed = 5
steps = 24
batch = 6
dropout = 0.1
[optimizer]
learning_rate = 1e-2
warmup_steps = 3
[run]
validate_every = 6
checkpoint_every = 5
checkpoints_kept = 2
sample_every = 12
sample_tokens = 20
)";

// Letters between threads: each worker puts one down and takes the other's.
class Post {
 public:
  explicit Post(int n) : n_(n), letters_(static_cast<std::size_t>(n * n)) {}
  void Exchange(int from, int to, std::span<const std::byte> mine, std::span<std::byte> theirs) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return Letter(from, to).empty(); });
    Letter(from, to).assign(mine.begin(), mine.end());
    changed_.notify_all();
    changed_.wait(lock, [&] { return !Letter(to, from).empty(); });
    ASSERT_EQ(Letter(to, from).size(), theirs.size());
    std::ranges::copy(Letter(to, from), theirs.begin());
    Letter(to, from).clear();
    changed_.notify_all();
  }
  int n() const { return n_; }

 private:
  std::vector<std::byte>& Letter(int from, int to) {
    return letters_[static_cast<std::size_t>(from * n_ + to)];
  }
  int n_;
  std::vector<std::vector<std::byte>> letters_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class PostWorker final : public Workers {
 public:
  PostWorker(Post& post, int rank) : post_(post), rank_(rank) {}
  int count() const override { return post_.n(); }
  int rank() const override { return rank_; }
  Result<> Exchange(int other, std::span<const std::byte> mine,
                    std::span<std::byte> theirs) override {
    post_.Exchange(rank_, other, mine, theirs);
    return Ok{};
  }

 private:
  Post& post_;
  int rank_;
};

class TrainingTest : public testing::Test {
 protected:
  TrainingTest() {
    std::string text;
    for (int i = 0; i < 60; ++i) text += i % 3 == 0 ? "the iron sand. " : "猫は鉄を見る。";
    std::ofstream(dir_.path() / "text.txt") << text;
  }
  Result<RunResult> Train(const std::string& out, const std::vector<std::string>& overrides = {},
                          int n_threads = 1, bool resume = false, int stop_after = 0) {
    watcher_ = std::make_unique<RunWatcher>(stop_after);
    TATARA_TRY(Recipe recipe, ParseRecipe(kTwin, "twin.toml", overrides));
    recipe.folder = dir_.path();
    return RunTraining(recipe,
                       {.out = dir_.path() / out,
                        .n_threads = n_threads,
                        .resume = resume,
                        .stop = &watcher_->stop},
                       *watcher_);
  }
  std::string Metrics(const std::string& out) {
    std::string text = ReadWholeFile(dir_.path() / out / "metrics.jsonl", 1 << 20).value();
    std::string without_times;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      without_times += line.substr(0, line.find(",\"seconds\"")) + "\n";
      at = end + 1;
    }
    return without_times;
  }

  ScratchDir dir_;
  std::unique_ptr<RunWatcher> watcher_;
};

TEST_F(TrainingTest, GivesOneDigestOnEverySetWithAnyThreadsAndMicroBatches) {
  const auto want = Train("base");
  ASSERT_TRUE(want.ok()) << want.error().text();
  EXPECT_TRUE(want->finished);
  EXPECT_LT(watcher_->losses.back(), watcher_->losses.front() - 0.3);
  EXPECT_FALSE(watcher_->sample.empty());
  const numerics::Isa before = numerics::ActiveIsa();
  int i = 0;
  for (const numerics::Isa isa : numerics::AvailableIsas()) {
    numerics::SetActiveIsa(isa);
    for (const char* change : {"run.micro_batch=1", "run.recompute=true"}) {
      const std::string out = "other" + std::to_string(i++);
      const auto got = Train(out, {change}, 3);
      ASSERT_TRUE(got.ok()) << got.error().text();
      EXPECT_EQ(got->digest, want->digest) << numerics::IsaName(isa) << " " << change;
      EXPECT_EQ(got->validation_loss, want->validation_loss);
      EXPECT_EQ(Metrics(out), Metrics("base"));
    }
  }
  numerics::SetActiveIsa(before);
}

TEST_F(TrainingTest, AFinishedRunThatIsResumedStaysAsItIs) {
  const auto first = Train("base");
  ASSERT_TRUE(first.ok()) << first.error().text();
  const auto path = dir_.path() / "base" / "result.json";
  const std::string result = ReadWholeFile(path, 1 << 16).value();
  const auto again = Train("base", {}, 1, true);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->digest, first->digest);
  EXPECT_TRUE(watcher_->losses.empty());
  EXPECT_EQ(again->training_loss, first->training_loss);
  EXPECT_EQ(again->validation_loss, first->validation_loss);
  EXPECT_EQ(ReadWholeFile(path, 1 << 16).value(), result);
}

TEST_F(TrainingTest, WhatIsNotKnownIsNotStatedAsANumber) {
  const auto blind = Train("blind", {"data.validation=0", "training.steps=2"});
  ASSERT_TRUE(blind.ok()) << blind.error().text();
  EXPECT_FALSE(blind->validation_loss);
  EXPECT_THAT(ResultJson(*blind), HasSubstr("\"validation_loss\":null"));
}

TEST_F(TrainingTest, ARunThatIsRefusedLeavesNoFolder) {
  EXPECT_FALSE(Train("refused", {"model.n_heads=3"}).ok());
  EXPECT_FALSE(Train("refused", {"training.context=8", "data.validation=0.99"}).ok());
  EXPECT_FALSE(fs::exists(dir_.path() / "refused"));
}

TEST_F(TrainingTest, OperationsOfAStepAreThoseOfTheEstimate) {
  const std::vector<std::string> changes = {"training.steps=2", "optimizer.kind=muon"};
  const auto run = Train("base", changes);
  ASSERT_TRUE(run.ok()) << run.error().text();
  Recipe recipe = ParseRecipe(kTwin, "twin.toml", changes).value();
  recipe.folder = dir_.path();
  const auto estimate = EstimateRun(recipe, {.n_threads = 1, .out = dir_.path()});
  ASSERT_TRUE(estimate.ok()) << estimate.error().text();
  EXPECT_DOUBLE_EQ(run->flops_per_step, estimate->kernel_flops_per_step);
}

TEST_F(TrainingTest, StoppedAnywhereItGoesOnToTheSameBits) {
  const auto want = Train("base");
  ASSERT_TRUE(want.ok());
  for (const int first : {1, 5, 7}) {
    const std::string out = "stopped" + std::to_string(first);
    ASSERT_FALSE(Train(out, {}, 1, false, first)->finished);
    ASSERT_FALSE(Train(out, {}, 2, true, 9)->finished);
    EXPECT_EQ(watcher_->resumed, first);
    const auto got = Train(out, {}, 1, true);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->digest, want->digest);
    EXPECT_EQ(got->best_step, want->best_step);
    EXPECT_EQ(Metrics(out), Metrics("base"));
  }
}

// Activations and moments in 16 bits keep the promise; the file has moments as they are stored.
TEST_F(TrainingTest, StorageAsBF16GivesOneDigestHoweverItIsComputed) {
  for (const std::string kind : {"adamw", "muon"}) {
    const std::vector<std::string> narrow = {"training.storage=bf16", "optimizer.moments=bf16",
                                             "optimizer.kind=" + kind};
    const auto wide = Train("wide-" + kind, {narrow[2]});
    const auto want = Train("narrow-" + kind, narrow);
    ASSERT_TRUE(want.ok()) << want.error().text();
    EXPECT_LT(watcher_->losses.back(), watcher_->losses.front() - 0.3);
    EXPECT_NE(want->digest, wide->digest);
    EXPECT_NEAR(*want->validation_loss, *wide->validation_loss, 0.05);
    const numerics::Isa before = numerics::ActiveIsa();
    for (const numerics::Isa isa : numerics::AvailableIsas()) {
      numerics::SetActiveIsa(isa);
      for (const char* change : {"run.micro_batch=1", "run.recompute=true"}) {
        std::vector<std::string> changes = narrow;
        changes.push_back(change);
        const std::string out = kind + change + std::string(numerics::IsaName(isa));
        ASSERT_FALSE(Train(out, changes, 3, false, 7)->finished);
        const auto got = Train(out, changes, 2, true);
        ASSERT_TRUE(got.ok()) << got.error().text();
        EXPECT_EQ(watcher_->resumed, 7);
        EXPECT_EQ(got->digest, want->digest) << numerics::IsaName(isa) << " " << change;
        EXPECT_EQ(Metrics(out), Metrics("narrow-" + kind));
      }
    }
    numerics::SetActiveIsa(before);
    const auto bytes = [&](const std::string& out) {
      return static_cast<double>(
          fs::file_size(CheckpointPath(dir_.path() / out, 24) / "optimizer.safetensors"));
    };
    // Muon's matrices have no second moment, and as bf16 none is written.
    EXPECT_LT(bytes("narrow-" + kind), (kind == "muon" ? 0.45 : 0.6) * bytes("wide-" + kind));
  }
}

// What the options of the optimiser add to a run's state is kept, too.
TEST_F(TrainingTest, MuonAndAveragesGoOnToTheSameBits) {
  int i = 0;
  const numerics::Isa before = numerics::ActiveIsa();
  for (const char* average : {"ema", "lawa"}) {
    const std::vector<std::string> changes = {
        "optimizer.kind=muon", "optimizer.average_every=4", "optimizer.average_count=3",
        "optimizer.average_decay=0.8", std::string("optimizer.average=") + average};
    const auto want = Train("whole" + std::to_string(i), changes);
    ASSERT_TRUE(want.ok()) << want.error().text();
    EXPECT_LT(watcher_->losses.back(), watcher_->losses.front() - 0.3);
    const std::string out = "cut" + std::to_string(i++);
    numerics::SetActiveIsa(numerics::Isa::kScalar);
    ASSERT_FALSE(Train(out, changes, 3, false, 7)->finished);
    numerics::SetActiveIsa(before);
    ASSERT_FALSE(Train(out, changes, 1, true, 10)->finished);
    const auto got = Train(out, changes, 2, true);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->digest, want->digest);
    EXPECT_EQ(got->validation_loss, want->validation_loss);
  }
}

// As after kill -9: the folder holds a checkpoint, later lines of metrics and half-written things.
TEST_F(TrainingTest, WhatAKilledRunLeavesIsTidiedUp) {
  const auto want = Train("base");
  ASSERT_TRUE(want.ok());
  ASSERT_TRUE(Train("killed", {}, 1, false, 13).ok());
  const fs::path out = dir_.path() / "killed";
  fs::remove_all(CheckpointPath(out, 13));
  fs::create_directories(out / "checkpoints" / ".partial-step-00000013");
  std::ofstream(out / "metrics.jsonl", std::ios::app) << "{\"step\":14,\"lo";
  const auto got = Train("killed", {}, 1, true);
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_GT(watcher_->resumed, 0);
  EXPECT_LT(watcher_->resumed, 13);
  EXPECT_EQ(got->digest, want->digest);
  EXPECT_EQ(Metrics("killed"), Metrics("base"));
}

TEST_F(TrainingTest, KeepsTheLastCheckpointsAndTheBest) {
  const auto result = Train("base");
  ASSERT_TRUE(result.ok());
  const std::vector<std::int64_t> steps = ListCheckpoints(dir_.path() / "base");
  EXPECT_LE(steps.size(), 3U);
  EXPECT_THAT(steps, testing::Contains(24));
  EXPECT_THAT(steps, testing::Contains(result->best_step));
}

TEST_F(TrainingTest, AChangedByteOfACheckpointIsRefused) {
  ASSERT_TRUE(Train("base", {}, 1, false, 5).ok());
  for (const char* file : {"weights.safetensors", "optimizer.safetensors", "checkpoint.json"}) {
    const fs::path path = CheckpointPath(dir_.path() / "base", 5) / file;
    const std::string whole = ReadWholeFile(path, 1 << 24).value();
    std::string changed = whole;
    changed[changed.size() / 2] ^= 1;
    std::ofstream(path, std::ios::binary) << changed;
    EXPECT_FALSE(Train("base", {}, 1, true).ok()) << file;
    std::ofstream(path, std::ios::binary) << whole.substr(0, whole.size() / 2);
    EXPECT_FALSE(Train("base", {}, 1, true).ok()) << file;
    std::ofstream(path, std::ios::binary) << whole;
  }
  EXPECT_TRUE(Train("base", {}, 1, true).ok());
}

TEST_F(TrainingTest, AnotherRecipeOrARunThatIsThereIsRefused) {
  ASSERT_TRUE(Train("base", {}, 1, false, 5).ok());
  EXPECT_THAT(Train("base").error().text(), HasSubstr("--resume"));
  EXPECT_THAT(Train("base", {"training.seed=6"}, 1, true).error().text(),
              HasSubstr("another recipe"));
  std::ofstream(dir_.path() / "text.txt", std::ios::app) << "t";
  EXPECT_THAT(Train("base", {}, 1, true).error().text(), HasSubstr("other data"));
}

TEST_F(TrainingTest, VirtualShardsArePartOfTheRun) {
  const auto four = Train("four"), one = Train("one", {"training.virtual_shards=1"});
  const auto eight = Train("eight", {"training.virtual_shards=8"});  // some are empty
  ASSERT_TRUE(four.ok() && one.ok() && eight.ok());
  EXPECT_NE(four->recipe_digest, one->recipe_digest);
  EXPECT_NEAR(*four->validation_loss, *one->validation_loss, 1e-3);
  EXPECT_NEAR(*four->validation_loss, *eight->validation_loss, 1e-3);
}

// In one pass, two at a time, one by one and in parts.
TEST_F(TrainingTest, HowManyShardsAPassTakesChangesNoBit) {
  for (const char* shards : {"training.virtual_shards=4", "training.virtual_shards=8"}) {
    const auto want = Train(std::string(shards) + "-all", {shards});
    ASSERT_TRUE(want.ok());
    for (const char* sequences : {"1", "2", "3"}) {
      const auto got = Train(std::string(shards) + sequences,
                             {shards, std::string("run.micro_batch=") + sequences}, 2);
      ASSERT_TRUE(got.ok());
      EXPECT_EQ(got->digest, want->digest) << shards << ", passes of " << sequences;
    }
  }
}

TEST_F(TrainingTest, DivergenceIsNamedAndTheCheckpointStays) {
  const auto result =
      Train("wild", {"optimizer.learning_rate=10", "optimizer.eps=1e-30", "optimizer.clip=0",
                     "optimizer.weight_decay=10", "training.steps=400", "run.checkpoint_every=1"});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().text(), HasSubstr("step"));
  EXPECT_FALSE(ListCheckpoints(dir_.path() / "wild").empty());
}

// Spikes that are none but for a very small sigma, so that there are many.
TEST_F(TrainingTest, SuspectStepsAreHandledTheSameWayWhereverARunStops) {
  for (const std::string policy : {"skip", "rollback"}) {
    const std::vector<std::string> changes = {"run.on_spike=" + policy, "run.spike_sigma=2.5",
                                              "run.spike_window=4",     "run.checkpoint_every=4",
                                              "training.steps=40",      "run.spikes_max=100"};
    const auto want = Train("whole-" + policy, changes);
    ASSERT_TRUE(want.ok()) << want.error().text();
    EXPECT_THAT(Metrics("whole-" + policy), HasSubstr("\"event\":\"" + policy + "\""));
    EXPECT_THAT(Metrics("whole-" + policy), HasSubstr("\"parameter\":\""));
    const auto plain = Train("plain-" + policy, {"training.steps=40"});
    EXPECT_NE(plain->digest, want->digest);
    const std::string out = "cut-" + policy;
    for (int i = 0; i < 4; ++i) {
      const auto part = Train(out, changes, 2, i > 0, 7);
      ASSERT_TRUE(part.ok()) << part.error().text();
    }
    const auto got = Train(out, changes, 1, true);
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(got->digest, want->digest) << policy;
    EXPECT_EQ(Metrics(out), Metrics("whole-" + policy));
  }
}

TEST_F(TrainingTest, TooManySuspectStepsStopARun) {
  const auto result = Train("spikes", {"run.on_spike=skip", "run.spike_sigma=0.1",
                                       "run.spike_window=2", "run.spikes_max=1"});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().text(), HasSubstr("above"));
}

TEST_F(TrainingTest, CheckpointsStayBelowTheirBound) {
  constexpr std::uint64_t kBound = 700000;
  const auto bound = "run.checkpoint_bytes_max=" + std::to_string(kBound);
  ASSERT_TRUE(Train("small", {bound, "run.checkpoint_every=1", "run.checkpoints_kept=50"}).ok());
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir_.path() / "small/checkpoints")) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LE(bytes, kBound);
  EXPECT_GT(ListCheckpoints(dir_.path() / "small").size(), 3U);
  EXPECT_THAT(Train("tiny", {"run.checkpoint_bytes_max=1000"}).error().text(),
              HasSubstr("need at least"));
}

// Four processes, here four threads that each believe to be one.
TEST_F(TrainingTest, WorkersGiveTheDigestOfOne) {
  const std::vector<std::string> changes = {"training.steps=8", "training.storage=bf16",
                                            "optimizer.moments=bf16"};
  const auto want = Train("base", changes);
  ASSERT_TRUE(want.ok());
  for (const int n : {2, 4}) {
    Post post(n);
    std::vector<std::string> digests(static_cast<std::size_t>(n));
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < n; ++rank) {
      threads.emplace_back([&, rank] {
        RunWatcher watcher;
        auto recipe = ParseRecipe(kTwin, "twin.toml", changes);
        recipe->folder = dir_.path();
        PostWorker worker(post, rank);
        const auto result = RunTraining(
            *recipe, {.out = dir_.path() / ("workers" + std::to_string(n)), .workers = &worker},
            watcher);
        if (result.ok()) digests[static_cast<std::size_t>(rank)] = result->digest;
      });
    }
    threads.clear();
    for (const std::string& digest : digests) EXPECT_EQ(digest, want->digest) << n;
    EXPECT_EQ(Metrics("workers" + std::to_string(n)), Metrics("base"));
  }
}

TEST_F(TrainingTest, WhatTheMachineCanNotHoldIsRefusedBeforeItIsTried) {
  for (const std::vector<std::string>& changes :
       {std::vector<std::string>{"model.n_embd=131072", "model.n_ff=131072", "model.n_layers=2"},
        {"training.batch=1048576", "model.n_ctx=1048576", "training.virtual_shards=1"}}) {
    const auto result = Train("huge", changes);
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().text(), HasSubstr("GB of memory"));
    fs::remove_all(dir_.path() / "huge");
  }
}

TEST_F(TrainingTest, AMissingTextSaysWhereToGetIt) {
  const auto result = Train("base", {"data.text=nowhere.txt", "data.source='a shelf'"});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().text(), HasSubstr("a shelf"));
  EXPECT_THAT(Train("base", {"data.sha256=00"}).error().text(), HasSubstr("SHA-256"));
}

}  // namespace
}  // namespace tatara::learn
