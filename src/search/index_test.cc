#include "tatara/search/index.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "test_support.h"

namespace tatara::search {
namespace {

namespace fs = std::filesystem;

class IndexTest : public testing::Test {
 protected:
  fs::path home() const { return scratch_.path() / "home"; }
  fs::path folder() const { return scratch_.path() / "docs"; }

  void SetUp() override { fs::create_directories(folder()); }

  void Write(const std::string& name, std::string_view text) {
    fs::create_directories((folder() / name).parent_path());
    std::ofstream(folder() / name, std::ios::binary) << text;
  }

  std::unique_ptr<Index> Open(bool create = true, int wait_ms_max = 10'000) {
    auto index = Index::Open({.home = home(), .wait_ms_max = wait_ms_max, .create = create});
    EXPECT_TRUE(index.ok()) << (index.ok() ? "" : index.error().text());
    return index.ok() ? std::move(*index) : nullptr;
  }

  AddReport Add(Index& index, std::vector<fs::path> paths) {
    auto report = index.Add(paths, nullptr, nullptr);
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().text());
    return report.ok() ? *report : AddReport{};
  }
  AddReport Add(Index& index) { return Add(index, {folder()}); }

  std::vector<std::string> Found(Index& index, std::string_view question) {
    const auto result = index.Search({.text = std::string(question)});
    EXPECT_TRUE(result.ok());
    std::vector<std::string> found;
    for (const Passage& passage : result->passages) found.push_back(passage.document);
    return found;
  }

  std::vector<std::string> Names(Index& index) {
    std::vector<std::string> names;
    const auto list = index.List();
    EXPECT_TRUE(list.ok());
    for (const DocumentInfo& info : *list) names.push_back(info.document);
    return names;
  }

  test::ScratchDir scratch_;
};

using Strings = std::vector<std::string>;

TEST_F(IndexTest, FindsAPassageWithItsPlace) {
  Write("press/manual.md", "# プレス\n\n## 停止\n\n光線式安全装置が遮られると停止する。\n");
  const auto index = Open();
  EXPECT_EQ(Add(*index).added, 1);
  const auto result = index->Search({.text = "光線式安全装置はいつ停止しますか"});
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->passages.size(), 1u);
  const Passage& passage = result->passages[0];
  EXPECT_EQ(passage.document, "docs/press/manual.md");
  EXPECT_EQ(passage.heading_path, (Strings{"プレス", "停止"}));
  EXPECT_EQ(passage.line_first, 5);
  EXPECT_EQ(passage.text, "光線式安全装置が遮られると停止する。");
  EXPECT_GT(result->coverage, 0.5);
}

TEST_F(IndexTest, AddingAgainUpdatesAndRemoves) {
  Write("a.md", "alpha one");
  Write("b.md", "beta two");
  Write("c.txt", "gamma three");
  const auto index = Open();
  EXPECT_EQ(Add(*index).added, 3);
  EXPECT_EQ(Add(*index).unchanged, 3);
  Write("a.md", "delta four");
  fs::remove(folder() / "b.md");
  const AddReport report = Add(*index);
  EXPECT_EQ(report.updated, 1);
  EXPECT_EQ(report.removed, 1);
  EXPECT_EQ(report.unchanged, 1);
  EXPECT_EQ(report.files.size(), 3u);
  EXPECT_TRUE(Found(*index, "alpha").empty());
  EXPECT_TRUE(Found(*index, "beta").empty());
  EXPECT_EQ(Found(*index, "delta"), Strings{"docs/a.md"});
}

TEST_F(IndexTest, OnlyWhatIsGoneBelowTheGivenFolderIsRemoved) {
  Write("x/a.md", "alpha");
  Write("y/b.md", "beta");
  const auto index = Open();
  Add(*index);
  fs::remove(folder() / "x/a.md");
  fs::remove(folder() / "y/b.md");
  const AddReport report = Add(*index, {folder() / "x"});
  EXPECT_EQ(report.removed, 1);
  EXPECT_EQ(Names(*index), Strings{"docs/y/b.md"});
}

TEST_F(IndexTest, HiddenFilesLinksAndOtherKindsAreSkipped) {
  Write("a.md", "alpha");
  Write(".hidden.md", "alpha");
  Write(".git/b.md", "alpha");
  Write("slides.pdf", "alpha");
  fs::create_symlink(folder() / "a.md", folder() / "link.md");
  fs::create_directory_symlink("/", folder() / "root");
  const auto index = Open();
  const AddReport report = Add(*index);
  EXPECT_EQ(report.added, 1);
  EXPECT_EQ(report.skipped, 5);
  // A link that is given itself is followed.
  EXPECT_EQ(Add(*index, {folder() / "link.md"}).unchanged, 1);
}

TEST_F(IndexTest, ARefusedFileIsNamedAndTheOthersAreAdded) {
  Write("a.md", "alpha");
  Write("bad.txt", std::string_view("al\0pha", 6));
  const auto index = Open();
  const AddReport report = Add(*index);
  EXPECT_EQ(report.added, 1);
  ASSERT_EQ(report.refused, 1);
  EXPECT_NE(report.files[1].reason->text().find("NUL byte at offset 2"), std::string::npos);
  // What can no longer be read no longer answers.
  Write("a.md", "\xFF\xFF");
  EXPECT_EQ(Add(*index).refused, 2);
  EXPECT_TRUE(Found(*index, "alpha").empty());
}

TEST_F(IndexTest, TwoFoldersOfOneNameKeepTheirDocumentsApart) {
  Write("one/docs/a.md", "alpha");
  Write("two/docs/a.md", "alpha");
  const auto index = Open();
  Add(*index, {folder() / "one/docs", folder() / "two/docs"});
  EXPECT_EQ(Names(*index), (Strings{"docs/a.md", "two/docs/a.md"}));
}

TEST_F(IndexTest, RemovesByNameFileAndFolder) {
  Write("x/a.md", "alpha");
  Write("x/b.md", "alpha");
  Write("c.md", "alpha");
  const auto index = Open();
  Add(*index);
  EXPECT_EQ(index->Remove(Strings{"docs/c.md"})->removed, 1);
  EXPECT_EQ(index->Remove(Strings{(folder() / "x").string()})->removed, 2);
  EXPECT_TRUE(Found(*index, "alpha").empty());
  const auto missing = index->Remove(Strings{"docs/c.md"});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
}

TEST_F(IndexTest, CollectionsAreSeparateAndTheirNamesChecked) {
  Write("a.md", "alpha");
  auto one = Index::Open({.home = home(), .collection = "one", .create = true});
  ASSERT_TRUE(one.ok());
  Add(**one);
  auto two = Index::Open({.home = home(), .collection = "two", .create = true});
  ASSERT_TRUE(two.ok());
  EXPECT_TRUE(Found(**two, "alpha").empty());
  EXPECT_EQ(*ListCollections(home()), (Strings{"one", "two"}));
  const auto missing = Index::Open({.home = home(), .collection = "three"});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().text(),
            "collection 'three': nothing has been added to it (there are: one, two)");
  for (const std::string_view bad : {"", "../x", "a/b", ".x", "-x", "日本", "a b"}) {
    EXPECT_FALSE(CheckCollectionName(bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckCollectionName(std::string(65, 'a')).ok());
}

TEST_F(IndexTest, AMissingPathChangesNothing) {
  Write("a.md", "alpha");
  const auto index = Open();
  Add(*index);
  Write("a.md", "beta");
  const auto report =
      index->Add(std::vector<fs::path>{folder(), folder() / "missing"}, nullptr, nullptr);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(Found(*index, "alpha"), Strings{"docs/a.md"});
}

TEST_F(IndexTest, StoppingLeavesTheCollectionAsItWas) {
  Write("a.md", "alpha");
  const auto index = Open();
  StopFlag stop;
  stop.Set();
  const auto report = index->Add(std::vector<fs::path>{folder()}, nullptr, &stop);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(Names(*index).empty());
}

TEST_F(IndexTest, OtherScriptsMeet) {
  Write("a.md", "# 点検\n\nセンサーの感度を確認する。周期は二十日とする。");
  Write("b.md", "# Door\n\nThe doors of the TK-200 are locked.");
  Write("c.md", "# Door\n\nThe doors of the TK-300 are locked.");
  const auto index = Open();
  Add(*index);
  EXPECT_EQ(Found(*index, "せんさの感度")[0], "docs/a.md");
  EXPECT_EQ(Found(*index, "ｾﾝｻｰ")[0], "docs/a.md");
  EXPECT_EQ(Found(*index, "20日")[0], "docs/a.md");
  EXPECT_EQ(Found(*index, "Is the door of ＴＫ２００ locked?")[0], "docs/b.md");
  EXPECT_EQ(Found(*index, "Is the door of TK-300 locked?")[0], "docs/c.md");
}

TEST_F(IndexTest, TheExpanderIsAskedOnlyWhenTheQuestionFindsLittle) {
  Write("a.md", "切削液の濃度は八パーセントとする");
  Write("b.md", "the coolant pump");
  const auto index = Open();
  Add(*index);
  int asked = 0;
  const Expander expand = [&](std::string_view) -> Result<std::vector<std::string>> {
    ++asked;
    return Strings{"切削液 濃度"};
  };
  auto result = index->Search({.text = "切削液の濃度は", .expand = expand});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(asked, 0);
  result = index->Search({.text = "How concentrated is the fluid for cutting?", .expand = expand});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(result->expansions, Strings{"切削液 濃度"});
  ASSERT_FALSE(result->passages.empty());
  EXPECT_EQ(result->passages[0].document, "docs/a.md");
}

TEST_F(IndexTest, QueriesOfAnyShapeAreHarmless) {
  Write("a.md", "alpha \"quoted\" NEAR(x) AND OR NOT * ^ : 表");
  const auto index = Open();
  Add(*index);
  for (const std::string& query :
       {std::string("\"; DROP TABLE documents; --"), std::string("NEAR(alpha x) AND *"),
        std::string("\xFF\xFE"), std::string(1 << 20, 'a'), std::string(), std::string("？？？"),
        std::string("a\0b", 3)}) {
    EXPECT_TRUE(index->Search({.text = query}).ok());
  }
  EXPECT_EQ(Names(*index).size(), 1u);
}

TEST_F(IndexTest, KeepsTheTextAsItWasAdded) {
  Write("a.md", "one\r\ntwo\r\n");
  const auto index = Open();
  Add(*index);
  Write("a.md", "three");
  EXPECT_EQ(*index->StoredText((folder() / "a.md").string()), "one\ntwo\n");
}

TEST_F(IndexTest, AForeignOrDamagedFileIsRefused) {
  fs::create_directories(home() / "collections");
  std::ofstream(home() / "collections/default.sqlite") << std::string(8192, 'x');
  const auto index = Index::Open({.home = home(), .create = true});
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().kind(), ErrorKind::kRefused);
}

// Runs `work` in a child process; returns its status as waitpid gives it. `ms` > 0: killed after
// that time.
int InChild(const std::function<int()>& work, int ms = 0) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  if (ms > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(IndexTest, KilledAtAnyTimeItIsAsBeforeOrAsAfter) {
  constexpr int kFiles = 120;
  for (int i = 0; i < kFiles; ++i) {
    Write("old" + std::to_string(i) + ".md", "# Old\n\nold words " + std::to_string(i));
  }
  Add(*Open());
  for (int i = 0; i < kFiles; ++i) fs::remove(folder() / ("old" + std::to_string(i) + ".md"));
  for (int i = 0; i < 2 * kFiles; ++i) {
    Write("new" + std::to_string(i) + ".md",
          "# New\n\nnew words " + std::to_string(i) + std::string(3000, 'x'));
  }
  int before = 0, after = 0;
  for (int ms = 1; ms < 400 && after == 0; ms += ms / 4 + 1) {
    InChild([&] { return Add(*Open()).added > 0 ? 0 : 1; }, ms);
    const std::size_t names = Names(*Open()).size();
    before += names == kFiles;
    after += names == 2 * kFiles;
    ASSERT_TRUE(names == kFiles || names == 2 * kFiles)
        << names << " documents after a kill at " << ms << " ms";
  }
  EXPECT_GT(before, 0);
  // And run again it completes.
  const auto index = Open();
  Add(*index);
  EXPECT_EQ(Names(*index).size(), std::size_t{2 * kFiles});
  EXPECT_TRUE(Found(*index, "old").empty());
}

TEST_F(IndexTest, AFullDiskLeavesItAsItWas) {
  Write("a.md", "alpha");
  Add(*Open());
  for (int i = 0; i < 200; ++i) Write("big" + std::to_string(i) + ".md", std::string(20'000, 'b'));
  const int status = InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto index = Open();
    const auto report = index->Add(std::vector<fs::path>{folder()}, nullptr, nullptr);
    return !report.ok() && report.error().kind() == ErrorKind::kIo ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  const auto index = Open();
  EXPECT_EQ(Names(*index), Strings{"docs/a.md"});
  EXPECT_EQ(Add(*index).added, 200);
}

TEST_F(IndexTest, ASecondWriterWaitsOrIsTold) {
  Write("a.md", "alpha");
  const auto index = Open();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  // The child holds the write transaction for a while: its progress sink sleeps.
  const pid_t child = fork();
  if (child == 0) {
    struct Sleeper : ProgressSink {
      int fd = 0;
      void Report(std::string_view, std::uint64_t, std::uint64_t total) override {
        if (total > 0 && write(fd, "x", 1) == 1)
          std::this_thread::sleep_for(std::chrono::milliseconds(400));
      }
    } sleeper;
    sleeper.fd = ready[1];
    const auto own = Open();
    _exit(own->Add(std::vector<fs::path>{folder()}, &sleeper, nullptr).ok() ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  // Reading goes on, an impatient writer is told, a patient one waits.
  EXPECT_TRUE(Names(*index).empty());
  const auto impatient = Open(true, 10)->Add(std::vector<fs::path>{folder()}, nullptr, nullptr);
  ASSERT_FALSE(impatient.ok());
  EXPECT_EQ(impatient.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(Add(*index).unchanged, 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace tatara::search
