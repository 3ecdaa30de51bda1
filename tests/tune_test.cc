// `tatara tune` as a user runs it, over a small base that is trained here first: what it registers
// can be run, exported, verified and replayed by its name; what would fail at the end is said at
// the start; killed anywhere and shared by processes it is the same.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

#include "program.h"
#include "training_runs.h"

namespace tatara {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::Program;
using testing::HasSubstr;

constexpr const char* kBase = R"(
name = "base"
[data]
text = "text.txt"
[model]
architecture = "llama"
n_layers = 2
n_embd = 32
n_heads = 4
n_kv_heads = 2
n_ff = 64
n_ctx = 32
[training]
steps = 20
batch = 4
[run]
sample_tokens = 0
)";
constexpr const char* kTuned = R"(
name = "shop"
[data]
text = "text.txt"
[model]
from = "./base"
[adapter]
rank = 2
[training]
steps = 60
batch = 8
context = 16
[optimizer]
weight_decay = 0
[run]
checkpoint_every = 7
sample_tokens = 0
[tune]
held_out = "questions.jsonl"
answer_tokens = 4
)";

class TuneCommand : public testing::Test {
 protected:
  TuneCommand() {
    std::ofstream(Path("text.txt")) << test::TrainingText();
    std::ofstream(Path("base.toml")) << kBase;
    std::ofstream(Path("shop.toml")) << kTuned;
    std::ofstream(Path("questions.jsonl"))
        << R"({"question":"iron","answer":"sand","keys":["sand"]})" << "\n";
    const Outcome base = tatara_({"train", Path("base.toml"), "--out", Path("base"), "--json"});
    EXPECT_EQ(base.status, 0) << base.err;
  }
  std::string Path(const std::string& name) { return (tatara_.folder() / name).string(); }
  std::vector<std::string> Arguments(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "tune", Path("shop.toml"), "--out", Path(out), "--threads", "1", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  nlohmann::json Tune(const std::string& out, std::vector<std::string> more = {}) {
    const Outcome outcome = tatara_(Arguments(out, std::move(more)));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("not recorded")));
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
    return outcome.json();
  }
  void Damage(const std::string& path, std::size_t at) {
    std::string bytes = test::ReadFile(path);
    bytes[at] ^= 4;
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::int64_t LastStep(const std::string& out) { return test::LastStep(Path(out)); }
  Program tatara_;
};

TEST_F(TuneCommand, EndsWithOneLineOfJsonThatSaysWhatCameOfIt) {
  const auto json = Tune("run");
  EXPECT_EQ(json["run"], "shop");
  EXPECT_EQ(json["steps"], 60);
  EXPECT_EQ(json["finished"], true);
  EXPECT_EQ(json["digest"].get<std::string>().size(), 64U);
  EXPECT_TRUE(json["validation_loss"].is_number());
  EXPECT_EQ(json["model"], "shop");
  EXPECT_EQ(json["before"]["of"], 1);
  EXPECT_EQ(json["after"]["of"], 1);
  const auto inspected = tatara_({"inspect", "shop", "--json"}).json();
  EXPECT_EQ(inspected["adapter"]["rank"], 2);
  EXPECT_EQ(inspected["adapter"]["matrices"], 14);
  EXPECT_THAT(tatara_({"models"}).out, HasSubstr("an adapter beside " + Path("base")));
}

TEST_F(TuneCommand, AReceiptOfATunedModelIsReplayedByItsNameAndNotByAnotherAdapter) {
  Tune("run", {"--no-questions"});
  const std::string receipt = Path("r.json");
  ASSERT_EQ(tatara_({"run", "shop", "--prompt", "iron", "--max-tokens", "4", "--receipt", receipt})
                .status,
            0);
  const Outcome equal = tatara_({"replay", receipt, "--json"});
  ASSERT_EQ(equal.status, 0) << equal.err;
  EXPECT_EQ(equal.json()["ok"], true);
  Tune("other", {"--no-questions", "--set", "training.seed=9"});
  const Outcome other = tatara_({"replay", receipt, "--json"});
  EXPECT_NE(other.status, 0);
  EXPECT_THAT(other.err, HasSubstr("adapter 'shop'"));
}

TEST_F(TuneCommand, AnExportSaysWhichAdapterIsInIt) {
  Tune("run", {"--no-questions"});
  for (const std::string to : {"gguf", "hf"}) {
    const std::string out = Path(to);
    ASSERT_EQ(tatara_({"export", "shop", "--to", to, "--out", out}).status, 0);
    const auto things = tatara_({"lineage", out, "--json"}).json()["things"];
    EXPECT_THAT(things[0]["name"].get<std::string>(), HasSubstr(to == "hf" ? ".safetensors" : to));
    std::vector<std::string> roles;
    for (const auto& input : things[0]["made_by"]["inputs"]) roles.push_back(input["role"]);
    EXPECT_EQ(roles, (std::vector<std::string>{"model", "adapter"}));
    // As far back as the text that the adapter learned from.
    EXPECT_TRUE(std::ranges::any_of(things, [](const auto& t) { return t["name"] == "text.txt"; }));
    EXPECT_EQ(tatara_({"verify", out}).status, 0);
  }
  Damage(Path("hf/model.safetensors"), 5000);
  const Outcome damaged = tatara_({"verify", Path("hf"), "--json"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.json()["first_difference"].get<std::string>(),
              HasSubstr("model.safetensors"));
  fs::remove(Path("hf/config.json"));
  EXPECT_THAT(tatara_({"verify", Path("hf")}).out, HasSubstr("config.json"));
}

TEST_F(TuneCommand, VerifyLooksAtWhatIsChattedWithToo) {
  Tune("run");
  const Outcome whole = tatara_({"verify", "shop", "--json"});
  EXPECT_EQ(whole.status, 0) << whole.out << whole.err;
  EXPECT_EQ(tatara_({"replay", "shop", "--steps", "8..9", "--json"}).json()["ok"], true);
  const std::string kept = (tatara_.home() / "models/shop/adapter_model.safetensors").string();
  Damage(kept, 5000);
  const Outcome damaged = tatara_({"verify", "shop", "--json"});
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.json()["first_difference"].get<std::string>(),
              HasSubstr("models/shop/adapter_model.safetensors"));
  // Without the run's folder too; and the base that it stands on.
  fs::remove_all(Path("run"));
  EXPECT_EQ(tatara_({"verify", "shop"}).status, 1);
  Damage(kept, 5000);
  EXPECT_EQ(tatara_({"verify", "shop"}).status, 0);
}

TEST_F(TuneCommand, WhatWouldFailAtTheEndIsSaidAtTheStart) {
  const auto refused = [&](const std::string& set, const std::string& why) {
    const Outcome outcome = tatara_(Arguments("none", {"--set", set}));
    EXPECT_EQ(outcome.status, 2) << set;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_FALSE(fs::exists(Path("none"))) << set;
  };
  refused("tune.held_out=nothing.jsonl", "nothing.jsonl");
  refused("name=smollm2-135m", "choose another name");
  std::ofstream(Path("broken.jsonl")) << "{}\n";
  refused("tune.held_out=broken.jsonl", "broken.jsonl");
  EXPECT_THAT(tatara_({"tune", Path("base.toml")}).err, HasSubstr("[model] from"));
}

TEST_F(TuneCommand, KilledAtAnyMomentItReachesTheSameDigestAndAdapter) {
  const auto want = Tune("whole", {"--no-questions"});
  const std::string adapter = test::ReadFile(Path("whole/adapter/adapter_model.safetensors"));
  const std::string kept = (tatara_.home() / "models/shop/adapter_model.safetensors").string();
  for (const int after : {1, 6, 8, 13, 20}) {
    const pid_t child = tatara_.Start(Arguments("killed", {"--resume", "--no-questions"}));
    const std::int64_t from = LastStep("killed");
    for (int i = 0; i < 2000 && LastStep("killed") < std::min<std::int64_t>(60, from + after); ++i)
      usleep(2000);
    usleep(500 * after);
    kill(child, SIGKILL);
    tatara_.Finish(child);
    EXPECT_EQ(test::ReadFile(kept), adapter);  // the one before, or the same again
  }
  EXPECT_EQ(Tune("killed", {"--resume", "--no-questions"})["digest"], want["digest"]);
  EXPECT_EQ(test::ReadFile(Path("killed/adapter/adapter_model.safetensors")), adapter);
}

TEST_F(TuneCommand, CtrlCWhileQuestionsAreAskedKeepsWhatWasTrained) {
  std::ofstream questions(Path("questions.jsonl"));
  for (int i = 0; i < 90'000; ++i) {
    questions << R"({"question":"iron","answer":"sand","keys":["sand"]})" << "\n";
  }
  questions.close();
  const pid_t child = tatara_.Start(Arguments("run", {"--set", "training.steps=3"}));
  const fs::path kept = tatara_.home() / "models/shop/adapter_model.safetensors";
  for (int i = 0; i < 5000 && !fs::exists(kept); ++i) usleep(2000);
  ASSERT_TRUE(fs::exists(kept));
  usleep(200'000);
  kill(child, SIGINT);
  const Outcome outcome = tatara_.Finish(child);
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("its held-out questions were not all asked"));
  EXPECT_EQ(outcome.json()["model"], "shop");
  EXPECT_FALSE(outcome.json().contains("after"));
  EXPECT_FALSE(fs::exists(Path("run/held-out.jsonl")));
  EXPECT_EQ(tatara_({"verify", "shop"}).status, 0);
}

TEST_F(TuneCommand, TwoAndFourProcessesTuneToTheSameDigest) {
  if (!test::AllowWorkers(tatara_)) GTEST_SKIP() << "built without Open MPI";
  const auto want = Tune("one");
  for (const char* n : {"2", "4"}) {
    const auto got = Tune(std::string("of") + n, {"--workers", n});
    EXPECT_EQ(got["digest"], want["digest"]) << n;
    EXPECT_EQ(got["sha256"], want["sha256"]) << n;
    EXPECT_EQ(got["after"], want["after"]) << n;
  }
}

TEST_F(TuneCommand, ARecipesDataArePreparedByItsBasesTokenizer) {
  std::ofstream(Path("data.toml")) << R"(
name = "data"
[data]
kind = "text"
[[data.sources]]
path = "text.txt"
unit = "line"
[model]
from = "./base"
)";
  const Outcome outcome = tatara_({"prepare", Path("data.toml"), "--out", Path("set"), "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["documents"], 200);
  EXPECT_EQ(tatara_({"verify", Path("set")}).status, 0);
  Damage(Path("set/tokens.bin"), 100);
  EXPECT_EQ(tatara_({"verify", Path("set")}).status, 1);
}

}  // namespace
}  // namespace tatara
