// `tatara train` as a user runs it: its last line, its folder, kill -9 at any moment, the real
// recipe on every instruction set, what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/types.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "program.h"
#include "tatara/numerics/isa.h"
#include "training_runs.h"

namespace tatara {
namespace {

using test::Outcome;
using test::Program;
using testing::HasSubstr;

constexpr const char* kTwin = R"(
name = "twin"
[data]
text = "text.txt"
validation = 0.2
[model]
architecture = "llama"
n_layers = 2
n_embd = 32
n_heads = 4
n_kv_heads = 2
n_ff = 64
n_ctx = 16
[training]
steps = 400
batch = 8
[run]
validate_every = 100
checkpoint_every = 7
sample_every = 200
sample_tokens = 8
)";

class TrainCommand : public testing::Test {
 protected:
  TrainCommand() {
    std::ofstream(Path("text.txt")) << test::TrainingText();
    std::ofstream(Path("twin.toml")) << kTwin;
  }
  std::string Path(const std::string& name) { return (tatara_.folder() / name).string(); }
  std::vector<std::string> Arguments(const std::string& out, bool resume = false) {
    std::vector<std::string> arguments = {
        "train", Path("twin.toml"), "--out", Path(out), "--threads", "1", "--json"};
    if (resume) arguments.push_back("--resume");
    return arguments;
  }
  std::int64_t LastStep(const std::string& out) { return test::LastStep(Path(out)); }

  Program tatara_;
};

TEST_F(TrainCommand, OneTwoAndFourProcessesGiveOneDigest) {
  if (!test::AllowWorkers(tatara_)) GTEST_SKIP() << "built without Open MPI";
  std::string digest;
  for (const char* n : {"1", "2", "4"}) {
    std::vector<std::string> arguments = Arguments(std::string("workers") + n);
    for (const char* more : {"--set", "training.steps=50", "--workers", n})
      arguments.push_back(more);
    const Outcome outcome = tatara_(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const auto json = outcome.json();
    if (digest.empty()) digest = json["digest"];
    EXPECT_EQ(json["digest"], digest) << n;
    EXPECT_EQ(json["steps"], 50);
  }
  std::vector<std::string> eight = Arguments("workers8");
  for (const char* more : {"--workers", "8"}) eight.push_back(more);
  const Outcome refused = tatara_(eight);
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("virtual shards"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  EXPECT_FALSE(std::filesystem::exists(Path("workers8")));
}

// Ctrl-C reaches the whole group of the terminal, SIGTERM the command alone.
TEST_F(TrainCommand, SeveralProcessesStopAfterAStepAndGoOnToTheSameDigest) {
  if (!test::AllowWorkers(tatara_)) GTEST_SKIP() << "built without Open MPI";
  const auto want = tatara_(Arguments("whole")).json();
  std::vector<std::string> arguments = Arguments("stopped", true);
  arguments.insert(arguments.end(), {"--workers", "2"});
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::int64_t from = LastStep("stopped");
    const pid_t child = tatara_.Start(arguments);
    setpgid(child, child);
    for (int i = 0; i < 10000 && LastStep("stopped") < from + 20; ++i) usleep(2000);
    ASSERT_EQ(kill(signal == SIGINT ? -child : child, signal), 0);
    const Outcome outcome = tatara_.Finish(child);
    EXPECT_EQ(outcome.status, 130) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("go on with --resume"));
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("mpirun")));
    EXPECT_EQ(outcome.json()["finished"], false);
    const std::int64_t stopped = outcome.json()["steps"].get<std::int64_t>();
    EXPECT_GE(stopped, from + 20);
    EXPECT_TRUE(
        std::filesystem::exists(Path(fmt::format("stopped/checkpoints/step-{:08}", stopped))));
  }
  const Outcome last = tatara_(arguments);
  ASSERT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(last.json()["digest"], want["digest"]);
}

TEST_F(TrainCommand, SaysThatThereIsNothingToGoOnFrom) {
  std::vector<std::string> arguments = Arguments("new", true);
  arguments.insert(arguments.end(), {"--set", "training.steps=2"});
  Outcome outcome = tatara_(arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no checkpoint to go on from"));
  outcome = tatara_(arguments);
  EXPECT_THAT(outcome.err, testing::Not(HasSubstr("no checkpoint to go on from")));
}

TEST_F(TrainCommand, AShapeThatDoesNotFitIsToldWithTheRecipesFile) {
  const Outcome outcome = tatara_({"train", Path("twin.toml"), "--set", "model.n_embd=33"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("twin.toml: model shape"));
}

// Layers with a window stand in the exported configuration as they were trained.
TEST_F(TrainCommand, AnExportedGemmaHasItsWindowsInTheSameLayers) {
  for (const auto& [family, period] : {std::pair{"gemma3", "2"}, {"gemma2", "3"}}) {
    const std::string run = Path(family), folder = run + "-hf";
    std::vector<std::string> arguments = Arguments(family);
    for (const std::string& set :
         {std::string("model.architecture=") + family, std::string("model.window_period=") + period,
          std::string("model.window=4"), std::string("model.n_layers=3"),
          std::string("training.steps=3")}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    ASSERT_EQ(tatara_(arguments).status, 0);
    const Outcome exported = tatara_({"export", run, "--to", "hf", folder});
    ASSERT_EQ(exported.status, 0) << exported.err;
    const auto digest = [&](const std::string& model) {
      return tatara_({"logits", model, "--tokens", "1,2,3,4,5,6,7,8,9,3,2,1", "--activations",
                      "f32", "--json"})
          .json()["sha256"];
    };
    EXPECT_EQ(digest(run), digest(folder)) << family;
  }
}

TEST_F(TrainCommand, EndsWithOneLineOfJson) {
  const Outcome outcome = tatara_(Arguments("run"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["run"], "twin");
  EXPECT_EQ(json["steps"], 400);
  EXPECT_EQ(json["digest"].get<std::string>().size(), 64U);
  EXPECT_LT(json["validation_loss"].get<double>(), 2.0);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
  EXPECT_EQ(LastStep("run"), 400);
}

TEST_F(TrainCommand, KilledAnyNumberOfTimesItReachesTheSameDigest) {
  const auto want = tatara_(Arguments("whole")).json();
  int n_killed = 0;
  for (const int n_steps : {3, 10, 21, 40, 41, 90, 160}) {
    const pid_t child = tatara_.Start(Arguments("killed", true));
    const std::int64_t from = LastStep("killed");
    for (int i = 0; i < 2000 && LastStep("killed") < from + n_steps; ++i) {
      if (LastStep("killed") >= 400) break;
      usleep(2000);
    }
    kill(child, SIGKILL);
    n_killed += tatara_.Finish(child).status == 128 + SIGKILL ? 1 : 0;
  }
  EXPECT_GE(n_killed, 4);
  const Outcome last = tatara_(Arguments("killed", true));
  ASSERT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(last.json()["digest"], want["digest"]);
  EXPECT_EQ(last.json()["validation_loss"], want["validation_loss"]);
  EXPECT_EQ(last.json()["best_step"], want["best_step"]);
}

TEST_F(TrainCommand, RefusesInTheUsersLanguage) {
  Outcome outcome = tatara_({"train", Path("twin.toml"), "--set", "training.step=3"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'steps'"));
  EXPECT_EQ(tatara_({"train", Path("none.toml")}).status, 2);
  // An option takes one value: the recipe may follow it.
  outcome = tatara_({"train", "--set", "training.step=3", Path("twin.toml")});
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'steps'"));
  tatara_.environment()["LC_ALL"] = "ja_JP.UTF-8";
  outcome =
      tatara_({"train", Path("twin.toml"), "--set", "data.text=none.txt", "--out", Path("o")});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("入手先"));
}

// The real recipe, its first twenty steps; a step takes a quarter of a second under scalar.
class ShakespeareChar : public testing::Test {
 protected:
  void SetUp() override {
    TATARA_REQUIRE_DATA(text, "train/tinyshakespeare.txt");
    tatara_.environment()["TATARA_TEST_DATA"] = test::DataDir().string();
  }
  std::string Out(const std::string& name) { return (tatara_.folder() / name).string(); }
  std::vector<std::string> Arguments(const std::string& name, numerics::Isa isa, int n_threads) {
    tatara_.environment()["TATARA_ISA"] = numerics::IsaName(isa);
    return {"train",     TATARA_SOURCE_DIR "/recipes/shakespeare-char.toml",
            "--out",     Out(name),
            "--threads", std::to_string(n_threads),
            "--json"};
  }
  std::int64_t NewestCheckpoint(const std::string& name) {
    std::int64_t newest = 0;
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator(Out(name) + "/checkpoints", ignored)) {
      const std::string file = entry.path().filename().string();
      if (file.starts_with("step-"))
        newest = std::max<std::int64_t>(newest, std::stol(file.substr(5)));
    }
    return newest;
  }
  Program tatara_;
};

TEST_F(ShakespeareChar, IsTheSameOnEverySetAndWithAnyThreads) {
  std::string digest;
  int n_threads = 1;
  for (const numerics::Isa isa : numerics::AvailableIsas()) {
    std::vector<std::string> arguments =
        Arguments(std::string(numerics::IsaName(isa)), isa, n_threads++);
    for (const char* more : {"--set", "training.steps=20", "--set", "data.validation=0"}) {
      arguments.push_back(more);
    }
    const Outcome outcome = tatara_(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const std::string got = outcome.json()["digest"];
    if (digest.empty()) digest = got;
    EXPECT_EQ(got, digest) << numerics::IsaName(isa);
  }
}

// All of it twice: on the widest set with two threads; and on the next one, killed three times and
// gone on with by other numbers of threads.
TEST_F(ShakespeareChar, KilledThreeTimesOnAnotherSetItIsTheSameRun) {
  if (!test::RunAll()) GTEST_SKIP() << "takes minutes; TATARA_TEST_ALL=1 runs it";
  const std::vector<numerics::Isa> isas = numerics::AvailableIsas();
  const numerics::Isa wide = isas.back(), other = isas.size() > 1 ? isas[isas.size() - 2] : wide;
  const Outcome whole = tatara_(Arguments("whole", wide, 2));
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(whole.json()["steps"], 2000);
  EXPECT_LE(whole.json()["validation_loss"].get<double>(), 1.88);
  int n_threads = 1;
  for (const std::int64_t reached : {250, 750, 1500}) {
    std::vector<std::string> arguments = Arguments("killed", other, n_threads++);
    if (reached > 250) arguments.push_back("--resume");
    const pid_t child = tatara_.Start(arguments);
    for (int i = 0; i < 100'000 && NewestCheckpoint("killed") < reached; ++i) usleep(20'000);
    usleep(300'000);  // some steps on
    kill(child, SIGKILL);
    EXPECT_EQ(tatara_.Finish(child).status, 128 + SIGKILL);
  }
  std::vector<std::string> arguments = Arguments("killed", other, 1);
  arguments.push_back("--resume");
  const Outcome last = tatara_(arguments);
  ASSERT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(last.json()["digest"], whole.json()["digest"]);
  EXPECT_EQ(last.json()["validation_loss"], whole.json()["validation_loss"]);
}

}  // namespace
}  // namespace tatara
