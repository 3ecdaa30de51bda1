// A run's records from the outside: `train` records its lineage, `verify` names every changed byte,
// `replay` gives the same bits on another instruction set, `diff` says what differs, names lead to
// folders.
#include <gmock/gmock.h>

#include <fstream>

#include "program.h"
#include "tatara/numerics/isa.h"
#include "training_runs.h"

namespace tatara {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::Program;
using test::ReadFile;
using testing::HasSubstr;

constexpr const char* kTwin = R"(
name = "twin"
[data]
text = "text.txt"
validation = 0.2
[model]
architecture = "llama"
n_layers = 1
n_embd = 16
n_heads = 2
n_ff = 32
n_ctx = 8
[training]
steps = 30
batch = 4
[run]
validate_every = 10
checkpoint_every = 10
sample_every = 20
sample_tokens = 8
)";

class RunLedger : public testing::Test {
 protected:
  RunLedger() {
    std::ofstream(Path("text.txt")) << test::TrainingText();
    std::ofstream(Path("twin.toml")) << kTwin;
  }
  std::string Path(const std::string& name) { return (tatara_.folder() / name).string(); }
  Outcome Train(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"train", Path("twin.toml"), "--out", Path(out), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = tatara_(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("not recorded")));
    return outcome;
  }
  Program tatara_;
};

TEST_F(RunLedger, TrainingRecordsWhatItWasMadeFromAndWhatItLeft) {
  const auto result = Train("run").json();
  const auto lineage = tatara_({"lineage", "twin", "--json"}).json();
  const auto& weights = lineage["things"][0];
  EXPECT_EQ(weights["name"], "twin/checkpoints/step-00000030/weights.safetensors");
  const auto& made_by = weights["made_by"];
  EXPECT_EQ(made_by["kind"], "train");
  EXPECT_EQ(made_by["command"][1], "train");
  EXPECT_EQ(made_by["facts"]["weights"], result["digest"]);
  EXPECT_EQ(made_by["facts"]["steps"], 30);
  EXPECT_TRUE(made_by["facts"].contains("isa"));
  std::map<std::string, nlohmann::json> things;
  for (const auto& thing : lineage["things"]) things[thing["name"]] = thing;
  EXPECT_EQ(things["twin/recipe"]["sha256"], result["recipe"]);
  EXPECT_EQ(things["twin/data"]["sha256"], result["data"]);
  EXPECT_TRUE(things.contains("text.txt"));  // from the data's manifest
  const std::string recipe = tatara_({"ledger", "object", result["recipe"]}).out;
  EXPECT_EQ(recipe + "\n", ReadFile(Path("run/recipe.json")));
  EXPECT_EQ(tatara_({"lineage", Path("run"), "--json"}).json()["root"], lineage["root"]);
  EXPECT_EQ(tatara_({"ledger", "collect", "--dry-run", "--json"}).json()["objects"], 0);
  EXPECT_TRUE(tatara_({"ledger", "verify", "--json"}).json()["ok"]);
}

TEST_F(RunLedger, EveryChangedFileOfARunIsNamed) {
  Train("run");
  const Outcome whole = tatara_({"verify", "twin", "--json"});
  ASSERT_EQ(whole.status, 0) << whole.out << whole.err;
  EXPECT_GE(whole.json()["files"], 10);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(Path("run"))) {
    if (entry.is_regular_file() && entry.path().filename() != "lock") files.push_back(entry.path());
  }
  EXPECT_GE(files.size(), 10U);
  for (const fs::path& file : files) {
    const std::string bytes = ReadFile(file);
    std::string changed = bytes;
    changed[changed.size() / 3] ^= 4;
    std::ofstream(file, std::ios::binary) << changed;
    const Outcome verified = tatara_({"verify", Path("run"), "--json"});
    EXPECT_EQ(verified.status, 1) << file;
    EXPECT_THAT(verified.json()["first_difference"].get<std::string>(),
                HasSubstr(file.lexically_relative(Path("run")).string()));
    std::ofstream(file, std::ios::binary) << bytes;
  }
  EXPECT_EQ(tatara_({"verify", Path("run")}).status, 0);
  const std::string checkpoint = Path("run/checkpoints/step-00000030");
  EXPECT_EQ(tatara_({"verify", checkpoint, "--json"}).json()["files"], 3);
  EXPECT_EQ(tatara_({"verify", checkpoint + "/weights.safetensors"}).status, 0);
  std::ofstream(Path("run/checkpoints/step-00000030/more")) << "x";
  EXPECT_THAT(tatara_({"verify", checkpoint}).out, HasSubstr("step-00000030/more"));
  fs::remove(Path("run/checkpoints/step-00000030/more"));
  fs::rename(Path("run/metrics.jsonl"), Path("away"));
  EXPECT_THAT(tatara_({"verify", "twin"}).out, HasSubstr("metrics.jsonl: recorded, but not there"));
  fs::rename(Path("away"), Path("run/metrics.jsonl"));

  const fs::path entries = tatara_.home() / "ledger" / "entries";
  std::string bytes = ReadFile(entries);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(entries, std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_NE(tatara_({"verify", "twin"}).status, 0);
}

TEST_F(RunLedger, AFileThatIsNotRecordedIsToldFromAReceipt) {
  Train("run");
  const auto text = tatara_({"verify", Path("text.txt"), "--json"}).json();
  EXPECT_EQ(text["ok"], true);
  EXPECT_TRUE(text["entry"].is_number()) << "what the run was made from is named by its record";
  std::ofstream(Path("note.txt")) << "nothing that was recorded";
  for (const char* command : {"verify", "lineage"}) {
    const Outcome unknown = tatara_({command, Path("note.txt")});
    EXPECT_NE(unknown.status, 0);
    EXPECT_THAT(unknown.out + unknown.err, HasSubstr("no record of a file")) << command;
  }
  std::ofstream(Path("receipt.json")) << "{}";
  EXPECT_THAT(tatara_({"verify", Path("receipt.json")}).out,
              HasSubstr("receipt.json: no receipt that can be read"));
}

TEST_F(RunLedger, NamesLeadToFoldersAndRunsAreListed) {
  Train("first");
  Train("second", {"--set", "training.steps=10"});
  const auto runs = tatara_({"runs", "list", "--json"}).json();
  ASSERT_EQ(runs.size(), 2U);
  for (const auto& run : runs) {
    const bool is_first = run["folder"].get<std::string>().ends_with("first");
    EXPECT_EQ(run["name"], "twin");
    EXPECT_EQ(run["steps"], is_first ? 30 : 10);
    EXPECT_EQ(run["finished"], true);
  }
  fs::remove_all(Path("second"));
  EXPECT_EQ(tatara_({"replay", "twin", "--steps", "29..30", "--json"}).json()["last_step"], 30);
  const Outcome unknown = tatara_({"replay", "twim"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("'twin'"));
  EXPECT_EQ(tatara_({"verify", "twim"}).status, 2);
}

TEST_F(RunLedger, DiffSaysWhatDiffersAndHowMuch) {
  Train("a");
  Train("b", {"--threads", "1"});
  const auto equal = tatara_({"diff", Path("a"), Path("b"), "--json"});
  EXPECT_EQ(equal.status, 0) << equal.out;
  EXPECT_TRUE(equal.json()["first_difference"].is_null());
  Train("c", {"--set", "optimizer.learning_rate=2e-3"});
  const Outcome outcome = tatara_({"diff", Path("a"), Path("c"), "--json"});
  EXPECT_EQ(outcome.status, 1);
  const auto difference = outcome.json();
  EXPECT_EQ(difference["first_difference"], "optimizer.learning_rate");
  EXPECT_THAT(difference["metrics"].get<std::string>(), HasSubstr("step 2"));
  ASSERT_FALSE(difference["tensors"].empty());
  EXPECT_GT(difference["tensors"][0]["relative_norm"].get<double>(), 0);
  EXPECT_EQ(
      tatara_({"diff", Path("a/checkpoints/step-00000020"), Path("a/checkpoints/step-00000030")})
          .status,
      1);
  EXPECT_EQ(tatara_({"diff", Path("twin.toml"), Path("twin.toml")}).status, 0);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string recipe = ReadFile(Path("twin.toml"));
    recipe.replace(recipe.find(from), from.size(), to);
    std::ofstream(Path("other.toml")) << recipe;
    return tatara_({"diff", Path("twin.toml"), Path("other.toml")}).out;
  };
  EXPECT_THAT(changed("sample_tokens = 8", "sample_tokens = 9"), HasSubstr("change no weight"));
  EXPECT_THAT(changed("text.txt", "book.txt"), testing::Not(HasSubstr("change no weight")));
  EXPECT_EQ(tatara_({"diff", Path("twin.toml"),
                     Path("a/checkpoints/step-00000030/"
                          "weights.safetensors")})
                .status,
            2);
}

// A stranger has the run, the ledger and the maker's public key; the run's folder has another path.
TEST_F(RunLedger, AStrangerVerifiesARunAgainstItsMakersLedger) {
  Train("run");
  std::string key = tatara_({"ledger", "key"}).out;
  key.pop_back();
  Program stranger;
  const fs::path run = stranger.folder() / "handed", ledger = stranger.folder() / "ledger";
  fs::copy(Path("run"), run, fs::copy_options::recursive);
  fs::copy(tatara_.home() / "ledger", ledger, fs::copy_options::recursive);
  const std::vector<std::string> verify = {"verify", run.string(), "--ledger", ledger.string(),
                                           "--key",  key,          "--json"};
  const Outcome whole = stranger(verify);
  EXPECT_EQ(whole.status, 0) << whole.out << whole.err;
  EXPECT_EQ(stranger({"verify", run.string()}).status, 1);  // its own ledger knows nothing of it
  const fs::path weights = run / "checkpoints/step-00000030/weights.safetensors";
  std::string bytes = ReadFile(weights);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  std::ofstream(weights, std::ios::binary) << bytes;
  EXPECT_THAT(stranger(verify).json()["first_difference"].get<std::string>(),
              HasSubstr("weights.safetensors"));
  const fs::path data = stranger.folder() / "data";
  fs::create_directories(data);
  fs::copy(Path("text.txt"), data);
  EXPECT_EQ(stranger({"replay", run.string(), "--data", data.string(), "--steps", "3..9"}).status,
            0);
  std::string entries = ReadFile(ledger / "entries");
  entries[entries.size() / 2] ^= 1;
  std::ofstream(ledger / "entries", std::ios::binary) << entries;
  const Outcome broken = stranger(verify);
  EXPECT_NE(broken.status, 0);
  EXPECT_THAT(broken.err + broken.out, HasSubstr("entry"));
}

TEST_F(RunLedger, ACollectionIsRecordedWithTheDocumentsThatCameIn) {
  std::ofstream(Path("a.md")) << "# Coolant\n\nChange it every month.\n";
  ASSERT_EQ(tatara_({"documents", "add", Path("a.md")}).status, 0);
  std::ofstream(Path("b.md")) << "# Oil\n\nChange it every year.\n";
  ASSERT_EQ(tatara_({"documents", "add", Path("b.md")}).status, 0);
  EXPECT_EQ(tatara_({"documents", "add", Path("b.md")}).status, 0);  // nothing new: no record
  const auto lineage = tatara_({"lineage", "collection/default", "--json"}).json();
  EXPECT_EQ(lineage["things"].size(), 4U) << lineage.dump(1);
  const auto& inputs = lineage["things"][0]["made_by"]["inputs"];
  ASSERT_EQ(inputs.size(), 2U);
  EXPECT_EQ(inputs[0]["role"], "index");
  EXPECT_EQ(inputs[1]["name"], "b.md");
  EXPECT_EQ(tatara_({"ledger", "log", "--json"}).json().size(), 2U);
  EXPECT_THAT(tatara_({"ledger", "object", lineage["root"]}).out, HasSubstr("a.md"));
  EXPECT_EQ(tatara_({"verify", "collection/default"}).status, 0);
}

// Twenty steps of the real recipe, made with two threads on the widest set, run again
// with one on the plainest.
TEST(ShakespeareChar, StepsReplayEqualUnderScalarWithOneThread) {
  TATARA_REQUIRE_DATA(text, "train/tinyshakespeare.txt");
  Program tatara;
  tatara.environment()["TATARA_TEST_DATA"] = test::DataDir().string();
  constexpr int n = 20;
  const std::string out = (tatara.folder() / "run").string();
  const Outcome trained = tatara(
      {"train", TATARA_SOURCE_DIR "/recipes/shakespeare-char.toml", "--out", out, "--threads", "2",
       "--set", "training.steps=" + std::to_string(2 * n), "--set", "data.validation=0", "--set",
       "run.checkpoint_every=" + std::to_string(n), "--set", "run.checkpoints_kept=9", "--json"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  tatara.environment()["TATARA_ISA"] = "scalar";
  const std::string steps = std::to_string(n + 1) + ".." + std::to_string(2 * n);
  const Outcome replayed =
      tatara({"replay", "shakespeare-char", "--steps", steps, "--threads", "1", "--json"});
  ASSERT_EQ(replayed.status, 0) << replayed.out << replayed.err;
  const auto report = replayed.json();
  EXPECT_EQ(report["started_from"], n);
  EXPECT_EQ(report["steps_run"], n);
  EXPECT_EQ(report["isa"], "scalar");
  EXPECT_EQ(report["weights"], trained.json()["digest"]);
}

}  // namespace
}  // namespace tatara
