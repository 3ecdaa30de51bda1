// `tatara prepare` as a user runs it: sets, words in both languages, kill -9, a full disk, and a
// model trained on what it made.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

#include "program.h"

namespace tatara {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::Program;
using testing::HasSubstr;

// A byte-level vocabulary without merges, as tokenizer.json.
std::string Bytes() {
  nlohmann::json vocabulary;
  int id = 0;
  vocabulary["<end>"] = id++;
  std::string alphabet;
  for (int b = 0, next = 256; b < 256; ++b) {
    const bool shown = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    const int code = shown ? b : next++;
    std::string letter;
    if (code < 0x80) {
      letter += static_cast<char>(code);
    } else {
      letter += static_cast<char>(0xC0 | code >> 6);
      letter += static_cast<char>(0x80 | (code & 0x3F));
    }
    vocabulary[letter] = id++;
  }
  return nlohmann::json{{"version", "1.0"},
                        {"truncation", nullptr},
                        {"padding", nullptr},
                        {"added_tokens",
                         {{{"id", 0},
                           {"content", "<end>"},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", false},
                           {"special", true}}}},
                        {"normalizer", nullptr},
                        {"pre_tokenizer",
                         {{"type", "ByteLevel"},
                          {"add_prefix_space", false},
                          {"trim_offsets", true},
                          {"use_regex", true}}},
                        {"post_processor", nullptr},
                        {"decoder",
                         {{"type", "ByteLevel"},
                          {"add_prefix_space", true},
                          {"trim_offsets", true},
                          {"use_regex", true}}},
                        {"model",
                         {{"type", "BPE"},
                          {"dropout", nullptr},
                          {"unk_token", nullptr},
                          {"continuing_subword_prefix", nullptr},
                          {"end_of_word_suffix", nullptr},
                          {"fuse_unk", false},
                          {"byte_fallback", false},
                          {"ignore_merges", false},
                          {"vocab", vocabulary},
                          {"merges", nlohmann::json::array()}}}}
      .dump();
}

class PrepareCommand : public testing::Test {
 protected:
  PrepareCommand() {
    Put("tokenizer.json", Bytes());
    std::string lines;
    for (int i = 0; i < 4000; ++i) {
      lines += "{\"text\": \"iron sand number " + std::to_string(i * 7919 % 3001) + "\"}\n";
    }
    Put("texts/a.jsonl", lines + "broken\n");
    Put("texts/b.txt", "たたらは鉄を作る。\n");
  }
  void Put(const std::string& name, const std::string& content) {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  std::string Path(const std::string& name) { return (tatara_.folder() / name).string(); }
  std::vector<std::string> Arguments(const std::string& out,
                                     const std::vector<std::string>& more = {"--json"}) {
    std::vector<std::string> arguments = {
        "prepare", Path("texts"), "--tokenizer", Path("tokenizer.json"), "--out", Path(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Program tatara_;
};

TEST_F(PrepareCommand, SaysWhatCameOfWhat) {
  const Outcome outcome = tatara_(Arguments("set"));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["kind"], "prepared");
  EXPECT_EQ(json["documents"], 3002);
  EXPECT_EQ(json["dropped"]["duplicate"], 999);
  EXPECT_EQ(json["dropped"]["not_json"], 1);
  EXPECT_EQ(json["files"][0]["path"], "texts/a.jsonl");
  const Outcome lineage = tatara_({"lineage", "set", "--json"});
  EXPECT_EQ(lineage.status, 0) << lineage.err;
  EXPECT_THAT(lineage.out, HasSubstr("texts/a.jsonl"));
  const Outcome again = tatara_(Arguments("two", {"--json", "--threads", "1"}));
  EXPECT_EQ(again.json()["digest"], json["digest"]);
}

TEST_F(PrepareCommand, SpeaksTheUsersLanguage) {
  tatara_.environment()["LC_ALL"] = "ja_JP.UTF-8";
  const Outcome outcome = tatara_(Arguments("set", {}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("除外: 999 件（前にあるものと同じ）。最初のもの: texts/a.jsonl:"));
  EXPECT_THAT(outcome.out, HasSubstr("文書 3002 件"));
  EXPECT_THAT(outcome.out, HasSubstr(" バイト目"));
  const std::string tree = tatara_({"lineage", "set"}).out;
  EXPECT_THAT(tree, HasSubstr("  データの準備（prepare）  "));
  EXPECT_THAT(tree, HasSubstr("─ 文書: "));
  Put("texts/c.parquet", "PAR1");
  const Outcome refused = tatara_(Arguments("other", {}));
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("read_parquet"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1);
  EXPECT_EQ(tatara_({"prepare", Path("texts"), "--out", Path("x")}).status, 2);
  // What is written is the same in every language.
  fs::remove(Path("texts/c.parquet"));
  tatara_.environment()["LC_ALL"] = "C.UTF-8";
  ASSERT_EQ(tatara_(Arguments("english")).status, 0);
  for (const char* name : {"/manifest.json", "/dropped.jsonl"}) {
    EXPECT_EQ(test::ReadFile(Path("set") + name), test::ReadFile(Path("english") + name));
  }
}

TEST_F(PrepareCommand, WhereNoRowIsADocumentItSaysWhyAndWritesNothing) {
  Put("table.csv", "part,price\nbolt,3\nnut,2\n");
  const Outcome outcome = tatara_(
      {"prepare", Path("table.csv"), "--tokenizer", Path("tokenizer.json"), "--out", Path("set")});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("first of 2 rows"));
  EXPECT_THAT(outcome.err, HasSubstr("table.csv:2 "));
  EXPECT_THAT(outcome.err, HasSubstr("part, price"));
  EXPECT_FALSE(fs::exists(Path("set")));
  EXPECT_FALSE(fs::exists(Path(".set.partial")));
}

TEST_F(PrepareCommand, KilledOrOnAFullDiskItLeavesNoHalfSet) {
  std::string large;
  for (int i = 0; i < 200000; ++i) large += "{\"text\": \"line " + std::to_string(i) + "\"}\n";
  Put("texts/large.jsonl", large);
  for (const int ms : {5, 40, 90, 150}) {
    const pid_t child = tatara_.Start(Arguments("set"));
    usleep(static_cast<useconds_t>(ms * 1000));
    kill(child, SIGKILL);
    tatara_.Finish(child);
    if (fs::exists(Path("set"))) break;
  }
  fs::remove_all(Path("set"));
  EXPECT_EQ(tatara_(Arguments("set")).status, 0);
  EXPECT_FALSE(fs::exists(Path(".set.partial")));
}

TEST_F(PrepareCommand, AModelTrainsOnASetAndOnARecipesOwnTexts) {
  const std::string rest =
      "[model]\narchitecture = \"llama\"\nn_layers = 1\nn_embd = 32\nn_heads = 2\nn_kv_heads = 1\n"
      "n_ff = 64\nn_ctx = 32\n[training]\nsteps = 30\nbatch = 4\n[optimizer]\nlearning_rate = "
      "1e-2\n"
      "[run]\nvalidate_every = 10\nsample_every = 30\nsample_tokens = 8\n";
  ASSERT_EQ(tatara_(Arguments("set")).status, 0);
  Put("prepared.toml", "name = \"p\"\n[data]\nkind = \"prepared\"\nset = \"set\"\n" + rest);
  Put("texts.toml",
      "name = \"t\"\n[data]\nkind = \"text\"\ntokenizer = \"tokenizer.json\"\n"
      "[[data.sources]]\npath = \"texts\"\n" +
          rest);
  const Outcome first = tatara_({"train", Path("prepared.toml"), "--out", Path("p"), "--json"});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_LT(first.json()["validation_loss"].get<double>(), 4.5);
  const Outcome second = tatara_({"train", Path("texts.toml"), "--out", Path("t"), "--json"});
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(second.json()["data"], first.json()["data"]);
  EXPECT_EQ(second.json()["digest"], first.json()["digest"]);
  const Outcome of_recipe = tatara_({"prepare", Path("texts.toml"), "--out", Path("r"), "--json"});
  ASSERT_EQ(of_recipe.status, 0) << of_recipe.err;
}

}  // namespace
}  // namespace tatara
