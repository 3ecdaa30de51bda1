// Preparing a set: the same bytes for any thread count, duplicates, drops with their places, what
// a kill, a full disk and a changed byte do.
#include "tatara/corpus/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "prepared/digest_set.h"
#include "reading/files_for_test.h"
#include "small_tokenizer_for_test.h"
#include "tatara/base/philox.h"
#include "tatara/corpus/packed_set.h"
#include "test_support.h"

namespace tatara::corpus {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    std::string lines;
    for (int i = 0; i < 3000; ++i) {
      lines += "{\"text\": \"the iron sand " + std::to_string(i * i % 1777) + "\"}\n";
    }
    Put("in/a.jsonl", lines + "{\"text\": \"\"}\nbroken\n{\"none\": 1}\n");
    Put("in/b.txt", "猫は鉄を見る。\r\n");
    Put("in/sub/c.md", "猫は鉄を見る。");
    Put("in/sub/d.pdf", "x");
    Put("pairs.csv", "question,answer\nwhat is it?,iron.\nand this?,sand.\n,none\n");
  }
  void Put(const std::string& name, const std::string& content) {
    PutFile(dir_.path() / name, content);
  }
  PrepareOptions Options(const std::string& out, std::vector<std::string> names = {"in"},
                         int n_threads = 1) {
    PrepareOptions options{.model = ChatModelOf(SmallVocabulary()).value(),
                           .out = dir_.path() / out,
                           .n_threads = n_threads};
    for (const std::string& name : names) {
      options.sources.push_back({.name = name, .paths = {dir_.path() / name}});
    }
    return options;
  }
  std::map<std::string, std::string> Files(const std::string& folder) {
    std::map<std::string, std::string> files;
    for (const auto& file : fs::directory_iterator(dir_.path() / folder)) {
      files[file.path().filename()] = test::ReadFile(file.path());
    }
    return files;
  }
  // What is in the scratch folder besides the inputs.
  std::vector<std::string> Leftovers() {
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(dir_.path())) {
      const std::string name = file.path().filename();
      if (name != "in" && name != "pairs.csv") names.push_back(name);
    }
    return names;
  }
  test::ScratchDir dir_;
};

TEST_F(PrepareTest, GivesTheSameBytesForAnyNumberOfThreads) {
  const auto one = Prepare(Options("one", {"in", "pairs.csv"}));
  ASSERT_TRUE(one.ok()) << one.error().text();
  const auto three = Prepare(Options("three", {"in", "pairs.csv"}, 3));
  ASSERT_TRUE(three.ok()) << three.error().text();
  EXPECT_EQ(one->digest, three->digest);
  EXPECT_EQ(Files("one"), Files("three"));
  EXPECT_EQ(Files("one").size(), 9U);
  EXPECT_FALSE(Files("one").contains("lock"));
}

TEST_F(PrepareTest, EveryRowIsADocumentOrADropWithReasonAndPlace) {
  const auto report = Prepare(Options("set", {"in", "pairs.csv"}));
  ASSERT_TRUE(report.ok()) << report.error().text();
  const auto count = [&](DropReason r) { return report->drops[static_cast<std::size_t>(r)]; };
  EXPECT_EQ(report->n_rows + 1, report->n_documents + report->n_dropped());  // d.pdf has no row
  EXPECT_EQ(count(DropReason::kEmpty), 2U);
  EXPECT_EQ(count(DropReason::kNotJson), 1U);
  EXPECT_EQ(count(DropReason::kForm), 1U);
  EXPECT_EQ(count(DropReason::kFile), 1U);
  EXPECT_GT(count(DropReason::kDuplicate), 1000U);
  const std::string dropped = Files("set")["dropped.jsonl"];
  EXPECT_EQ(std::count(dropped.begin(), dropped.end(), '\n'),
            static_cast<std::ptrdiff_t>(report->n_dropped()));
  EXPECT_THAT(dropped, HasSubstr(R"({"file":"in/a.jsonl","row":3002,"reason":"not_json")"));
  EXPECT_THAT(dropped, HasSubstr(R"({"file":"in/sub/c.md","row":0,"reason":"duplicate"})"));
  EXPECT_THAT(dropped, HasSubstr(R"({"file":"pairs.csv","row":4,"reason":"empty")"));
  const auto manifest = nlohmann::json::parse(report->manifest);
  EXPECT_EQ(manifest["documents"], report->n_documents);
  EXPECT_EQ(manifest["dropped"]["empty"], 2);
  EXPECT_EQ(manifest["files"][0]["path"], "in/a.jsonl");
  EXPECT_EQ(manifest["files"][0]["sha256"].get<std::string>().size(), 64U);
  EXPECT_THAT(report->manifest, testing::Not(HasSubstr(dir_.path().string())));
}

TEST_F(PrepareTest, ASetIsOpenedAndTrainedOn) {
  const auto report = Prepare(Options("set", {"in", "pairs.csv"}));
  ASSERT_TRUE(report.ok());
  const auto store = OpenPrepared(dir_.path() / "set");
  ASSERT_TRUE(store.ok()) << store.error().text();
  EXPECT_EQ((*store)->n_documents(), report->n_documents);
  EXPECT_EQ((*store)->id_bytes, 2);
  EXPECT_THAT((*store)->source_names, ElementsAre("in", "pairs.csv"));
  const auto pairs = PackedSet::Make(*store, {.packing = Packing::kWhole, .source = 1}).value();
  std::vector<std::int32_t> tokens(200), targets(200), first_keys(200);
  ASSERT_EQ(pairs->n_training(200), 1);
  ASSERT_TRUE(pairs->Training(1, 0, {tokens, targets, first_keys}).ok());
  std::erase(targets, -1);
  EXPECT_EQ(pairs->Decode(targets), "iron.sand.");
  const auto texts = PackedSet::Make(*store, {.source = 0}).value();
  EXPECT_TRUE(texts->CheckContext(64).ok());
  EXPECT_TRUE(texts->TokenizerKeys().Has("tokenizer.ggml.tokens"));
  // The store in memory and the one on disk are one: the digest does not see how wide ids are.
  EXPECT_EQ(DigestOf(**store), report->digest);
}

TEST_F(PrepareTest, TextsAloneNeedNoCountsAndNoTemplate) {
  PrepareOptions options = Options("set");
  options.model = ChatModelOf(SmallVocabulary("")).value();
  ASSERT_TRUE(Prepare(options).ok());
  EXPECT_FALSE(Files("set").contains("counts.bin"));
  options = Options("other", {"pairs.csv"});
  options.model = ChatModelOf(SmallVocabulary("")).value();
  EXPECT_THAT(Prepare(options).error().text(), HasSubstr("pairs.csv, row 2"));
  EXPECT_THAT(Leftovers(), ElementsAre("set"));
}

TEST_F(PrepareTest, WhatIsThereStaysAndWhatIsWrongLeavesNothing) {
  ASSERT_TRUE(Prepare(Options("set")).ok());
  const auto before = Files("set");
  EXPECT_THAT(Prepare(Options("set")).error().text(), HasSubstr("is there already"));
  EXPECT_EQ(Files("set"), before);
  Put("in/bad.json", "[1,");
  EXPECT_FALSE(Prepare(Options("broken")).ok());
  Put("in/bad.json", "[]");
  Put("in/more.parquet", "PAR1");
  EXPECT_THAT(Prepare(Options("parquet")).error().text(), HasSubstr("read_parquet"));
  EXPECT_FALSE(Prepare(Options("none", {"absent"})).ok());
  PrepareOptions options = Options("stopped", {"pairs.csv"});
  StopFlag stop;
  stop.Set();
  options.stop = &stop;
  EXPECT_EQ(Prepare(options).error().kind(), ErrorKind::kCancelled);
  EXPECT_THAT(Leftovers(), ElementsAre("set"));
}

// In a child with a limit on the size of files, which fails a write as a full disk does.
TEST_F(PrepareTest, AFullDiskIsSaidAndLeavesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 4096, .rlim_max = 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto report = Prepare(Options("full"));
    const bool told = !report.ok() && report.error().kind() == ErrorKind::kIo;
    _exit(told ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_THAT(Leftovers(), IsEmpty());
}

TEST_F(PrepareTest, KilledAnywhereItLeavesNoSetOrAWholeOne) {
  ASSERT_TRUE(Prepare(Options("want", {"in", "pairs.csv"})).ok());
  const auto want = Files("want");
  int n_killed = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string out = "set" + std::to_string(i);
    const pid_t child = fork();
    if (child == 0) {
      _exit(Prepare(Options(out, {"in", "pairs.csv"}, 2)).ok() ? 0 : 1);
    }
    usleep(static_cast<useconds_t>(2000 * i));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    n_killed += WIFSIGNALED(status) ? 1 : 0;
    if (!fs::exists(dir_.path() / out)) {
      ASSERT_TRUE(Prepare(Options(out, {"in", "pairs.csv"})).ok());
    }
    auto got = Files(out);
    got.erase("lock");  // where the kill fell between the rename and its removal
    EXPECT_EQ(got, want);
    EXPECT_FALSE(fs::exists(dir_.path() / ("." + out + ".partial")));
  }
  EXPECT_GT(n_killed, 0);
}

TEST_F(PrepareTest, AChangedByteOfASetIsRefused) {
  ASSERT_TRUE(Prepare(Options("set", {"in", "pairs.csv"})).ok());
  for (const char* name : {"tokens.bin", "offsets.bin", "counts.bin", "keys.bin", "sources.bin",
                           "tokenizer_keys.json", "manifest.json"}) {
    const std::string whole = test::ReadFile(dir_.path() / "set" / name);
    for (const std::size_t at : {std::size_t{9}, whole.size() / 2, whole.size() - 3}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 0x04);
      Put(std::string("set/") + name, changed);
      const auto opened = OpenPrepared(dir_.path() / "set");
      // The manifest has parts that say what was read, not what was made.
      if (std::string_view(name) != "manifest.json") {
        EXPECT_FALSE(opened.ok()) << name << " " << at;
      }
    }
    Put(std::string("set/") + name, whole.substr(0, whole.size() - 8));
    EXPECT_FALSE(OpenPrepared(dir_.path() / "set").ok()) << name;
    Put(std::string("set/") + name, whole);
  }
  EXPECT_TRUE(OpenPrepared(dir_.path() / "set").ok());
}

TEST_F(PrepareTest, AHostileManifestIsRefused) {
  ASSERT_TRUE(Prepare(Options("set")).ok());
  const auto good = nlohmann::json::parse(Files("set")["manifest.json"]);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, nlohmann::json>>{{"documents", 0},
                                                           {"documents", -1},
                                                           {"documents", 18446744073709551615ULL},
                                                           {"tokens", 18446744073709551615ULL},
                                                           {"tokens", 0},
                                                           {"id_bytes", 3},
                                                           {"id_bytes", 4},
                                                           {"has_counts", true},
                                                           {"sources", 5},
                                                           {"sources", nlohmann::json::array()},
                                                           {"version", 2},
                                                           {"kind", "char"},
                                                           {"digest", "00"}}) {
    auto bad = good;
    bad[key] = value;
    Put("set/manifest.json", bad.dump());
    EXPECT_FALSE(OpenPrepared(dir_.path() / "set").ok()) << key << " " << value;
  }
  for (const char* bad : {"", "[]", "{}", "{", "5"}) {
    Put("set/manifest.json", bad);
    EXPECT_FALSE(OpenPrepared(dir_.path() / "set").ok()) << bad;
  }
}

TEST_F(PrepareTest, AnyInputIsPartOfTheKey) {
  std::vector<std::string> keys;
  const auto add = [&](const PrepareOptions& options) {
    keys.push_back(PreparationKey(options, FindFiles(options).value()));
  };
  PrepareOptions options = Options("a");
  add(options);
  options.sources[0].reading.field = "text";
  add(options);
  options = Options("a");
  options.model = ChatModelOf(SmallVocabulary("")).value();
  add(options);
  Put("in/b.txt", "another");
  add(Options("a"));
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::unique(keys.begin(), keys.end()) - keys.begin(), 4);
  add(Options("elsewhere"));
  add(Options("elsewhere", {"in"}, 2));
  EXPECT_EQ(keys[4], keys[5]);
}

TEST(DigestSet, KnowsWhatItSawAndRefusesMoreThanItsBound) {
  DigestSet set(5000);
  const auto digest = [](std::uint64_t i) { return Sha256Of(std::as_bytes(std::span(&i, 1))); };
  for (std::uint64_t i = 0; i < 5000; ++i) EXPECT_EQ(set.Add(digest(i)), DigestSet::Outcome::kNew);
  for (std::uint64_t i = 0; i < 5000; ++i) EXPECT_EQ(set.Add(digest(i)), DigestSet::Outcome::kSeen);
  EXPECT_EQ(set.Add(digest(5000)), DigestSet::Outcome::kFull);
  DigestSet zero(2);
  EXPECT_EQ(zero.Add(Digest{}), DigestSet::Outcome::kNew);
  EXPECT_EQ(zero.Add(Digest{}), DigestSet::Outcome::kSeen);
}

}  // namespace
}  // namespace tatara::corpus
