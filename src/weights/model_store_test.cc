#include "tatara/weights/model_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_store.h"

namespace tatara::weights {
namespace {

using test::Bytes;
using test::CatalogueText;
using test::TestStore;
using test::WriteFile;
using testing::HasSubstr;
namespace fs = std::filesystem;

// A catalogue whose model "m" is one file, served by file:`source`.
std::string OneFile(const std::string& content, const fs::path& source) {
  return CatalogueText("m", {{"m.gguf", content, "[\"file:" + source.string() + "\"]"}});
}

TEST(ModelStore, PulledModelIsVerifiedRecordedListedResolvedAndRemoved) {
  const test::ScratchDir outside;
  const std::string content = Bytes(300000);
  const fs::path source = outside.path() / "theirs.bin";
  WriteFile(source, content);
  const TestStore place(OneFile(content, source));
  ModelStore store = place.Open();
  EXPECT_THAT(store.Resolve("m").error().text(), HasSubstr("tatara pull m"));

  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_FALSE(pulled->was_there);
  EXPECT_TRUE(pulled->contacted.empty());
  EXPECT_EQ(test::ReadFile(pulled->model.path()), content);
  EXPECT_EQ(pulled->model.files.front().source, "file:" + source.string());
  EXPECT_FALSE(fs::exists(place.home() / "models/.partial/m"));

  const auto again = store.Pull("m");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->was_there);
  const auto resolved = store.Resolve("m");
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  EXPECT_EQ(store.DigestOf(*resolved).value(), Sha256Hex(content));
  const auto listed = store.List();
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().local->sha256(), Sha256Hex(content));
  EXPECT_EQ(listed->front().catalogue->context_tokens, 9);

  EXPECT_EQ(store.Remove("m")->n_bytes_freed / 1000, 300u);
  EXPECT_FALSE(store.Resolve("m").ok());
  EXPECT_EQ(store.Remove("m").error().kind(), ErrorKind::kNotFound);
}

TEST(ModelStore, WrongContentIsRefusedWithBothDigestsAndNothingIsSeen) {
  const test::ScratchDir outside;
  const std::string content = Bytes(5000);
  const fs::path source = outside.path() / "theirs.bin";
  for (const bool share : {false, true}) {
    WriteFile(source, Bytes(5000, 7));
    const TestStore place(OneFile(content, source));
    ModelStore store = place.Open(share);
    const auto pulled = store.Pull("m");
    ASSERT_FALSE(pulled.ok());
    EXPECT_THAT(pulled.error().text(), HasSubstr(Sha256Hex(content)));
    EXPECT_THAT(pulled.error().text(), HasSubstr(Sha256Hex(Bytes(5000, 7))));
    EXPECT_FALSE(place.Sees("m"));
    EXPECT_TRUE(fs::exists(source));
    WriteFile(source, content);
    EXPECT_TRUE(store.Pull("m").ok());
  }
}

TEST(ModelStore, TheNextSourceServesAndTheReportSaysWhyTheFirstDidNot) {
  const test::ScratchDir outside;
  const std::string content = Bytes(5000);
  WriteFile(outside.path() / "b", content);
  const TestStore place(
      CatalogueText("m", {{"m.gguf", content,
                           "[\"file:" + (outside.path() / "a").string() +
                               "\", \"file:" + (outside.path() / "b").string() + "\"]"}}));
  ModelStore store = place.Open();
  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_THAT(pulled->model.files.front().source, testing::EndsWith("/b"));
  ASSERT_EQ(pulled->failures.size(), 1u);
  EXPECT_THAT(pulled->failures.front(), HasSubstr("/a: cannot open"));
}

TEST(ModelStore, AChangedFileIsNoticedAndPulledAgain) {
  const test::ScratchDir outside;
  const std::string content = Bytes(9000);
  WriteFile(outside.path() / "s", content);
  const TestStore place(OneFile(content, outside.path() / "s"));
  ModelStore store = place.Open();
  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok());
  const fs::path path = pulled->model.path();

  std::string other = content;
  other[4000] ^= 1;
  WriteFile(path, other);
  const auto resolved = store.Resolve("m");
  ASSERT_TRUE(resolved.ok());
  const auto digest = store.DigestOf(*resolved);
  ASSERT_FALSE(digest.ok());
  EXPECT_THAT(digest.error().text(), HasSubstr("pull it again"));
  WriteFile(path, "short");
  EXPECT_THAT(store.Resolve("m").error().text(), HasSubstr("not the file that was pulled"));

  const auto again = store.Pull("m");
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_FALSE(again->was_there);
  EXPECT_EQ(test::ReadFile(path), content);
}

TEST(ModelStore, AModelRestoredByHandWithTheSameBytesIsStillThere) {
  const test::ScratchDir outside;
  const std::string content = Bytes(9000);
  WriteFile(outside.path() / "s", content);
  const TestStore place(OneFile(content, outside.path() / "s"));
  ModelStore store = place.Open();
  const fs::path path = store.Pull("m")->model.path();
  fs::remove(path);
  WriteFile(path, content);
  EXPECT_TRUE(store.Pull("m")->was_there);
  EXPECT_EQ(store.DigestOf(*store.Resolve("m")).value(), Sha256Hex(content));
}

TEST(ModelStore, ANewDigestInTheCatalogueReplacesTheModelWhole) {
  const test::ScratchDir outside;
  const fs::path source = outside.path() / "s";
  WriteFile(source, Bytes(9000));
  const TestStore place(OneFile(Bytes(9000), source));
  ASSERT_TRUE(place.Open().Pull("m").ok());
  WriteFile(source, Bytes(7000, 2));
  WriteFile(place.home() / "catalogue.toml", OneFile(Bytes(7000, 2), source));
  ModelStore store = place.Open();
  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_FALSE(pulled->was_there);
  EXPECT_EQ(test::ReadFile(pulled->model.path()), Bytes(7000, 2));
}

TEST(ModelStore, ASecondPullIsToldWhoIsInTheWay) {
  const test::ScratchDir outside;
  WriteFile(outside.path() / "s", Bytes(100));
  const TestStore place(OneFile(Bytes(100), outside.path() / "s"));
  ModelStore store = place.Open();
  fs::create_directories(place.home() / "models/.locks");
  {
    const auto lock = FileLock::Acquire(place.home() / "models/.locks/m", 0);
    ASSERT_TRUE(lock.ok());
    const auto pulled = store.Pull("m", {.lock_wait_ms_max = 10});
    ASSERT_FALSE(pulled.ok());
    EXPECT_EQ(pulled.error().kind(), ErrorKind::kUnavailable);
    EXPECT_THAT(pulled.error().text(), HasSubstr("m: another process is pulling or removing"));
  }
  EXPECT_TRUE(store.Pull("m", {.lock_wait_ms_max = 10}).ok());
}

TEST(ModelStore, LicenceWithTermsIsShownThenAcceptedOnceAndRecorded) {
  const test::ScratchDir outside;
  WriteFile(outside.path() / "s", Bytes(100));
  const std::vector<test::FileSpec> files = {
      {"m.gguf", Bytes(100), "[\"file:" + (outside.path() / "s").string() + "\"]"}};
  const TestStore place(CatalogueText("m", files, "terms = \"Be kind.\"\n"));
  ModelStore store = place.Open();
  ASSERT_TRUE(store.LicenceToAccept("m")->has_value());
  const auto refused = store.Pull("m");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kRefused);
  EXPECT_THAT(refused.error().text(), HasSubstr("Be kind."));
  EXPECT_THAT(refused.error().text(), HasSubstr("--accept-licence"));
  // The same file by its address is under the same terms.
  EXPECT_FALSE(store.Pull("file:" + (outside.path() / "s").string()).ok());

  const auto accepted = store.Pull("m", {.accept_licence = true});
  ASSERT_TRUE(accepted.ok()) << accepted.error().text();
  EXPECT_FALSE(accepted->model.licence_accepted_utc.empty());
  ASSERT_TRUE(store.Remove("m").ok());
  EXPECT_TRUE(store.Pull("m").ok()) << "accepted once is enough";

  WriteFile(place.home() / "catalogue.toml", CatalogueText("m", files, "terms = \"Be kinder.\"\n"));
  EXPECT_TRUE(place.Open().LicenceToAccept("m")->has_value()) << "other terms";
}

TEST(ModelStore, AnySourceCanBePulledUnderAName) {
  const test::ScratchDir outside;
  const std::string content = Bytes(4000);
  const fs::path source = outside.path() / "My Model.Q4.gguf";
  WriteFile(source, content);
  WriteFile(outside.path() / "other.gguf", Bytes(5));
  const TestStore place(OneFile(Bytes(1), outside.path() / "x"));
  ModelStore store = place.Open();
  const auto pulled = store.Pull("file:" + source.string());
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(pulled->model.name, "My-Model.Q4");
  EXPECT_FALSE(pulled->model.digest_was_known);
  EXPECT_EQ(store.Resolve("My-Model.Q4")->local->sha256(), Sha256Hex(content));
  EXPECT_TRUE(store.Pull("file:" + source.string())->was_there);
  EXPECT_EQ(store.List()->size(), 2u);

  const std::string other = "file:" + (outside.path() / "other.gguf").string();
  EXPECT_THAT(store.Pull(other, {.name = "My-Model.Q4"}).error().text(),
              HasSubstr("is here already"));
  EXPECT_THAT(store.Pull(other, {.name = "m"}).error().text(), HasSubstr("name of the catalogue"));
  EXPECT_THAT(store.Pull(other, {.name = "../m"}).error().text(), HasSubstr("can not be the name"));
  EXPECT_THAT(store.Pull(other, {.sha256 = "12"}).error().text(), HasSubstr("not a SHA-256"));
  EXPECT_THAT(store.Pull(other, {.sha256 = Sha256Hex("x")}).error().text(),
              HasSubstr("expected " + Sha256Hex("x")));
  EXPECT_TRUE(
      store.Pull(other, {.name = "o", .sha256 = Sha256Hex(Bytes(5))})->model.digest_was_known);
  EXPECT_EQ(store.Pull((outside.path() / "other.gguf").string())->model.name, "other");
  EXPECT_EQ(store.Pull("nonsense").error().kind(), ErrorKind::kNotFound);
}

TEST(ModelStore, PathsResolveToThemselvesAndTheirDigestIsRemembered) {
  const test::ScratchDir outside;
  const fs::path path = outside.path() / "a.gguf";
  WriteFile(path, "first");
  const TestStore place(OneFile(Bytes(1), outside.path() / "x"));
  const ModelStore store = place.Open();
  const auto resolved = store.Resolve(path.string());
  ASSERT_TRUE(resolved.ok()) << resolved.error().text();
  EXPECT_EQ(resolved->path, path);
  EXPECT_EQ(store.DigestOf(*resolved).value(), Sha256Hex("first"));
  WriteFile(path, "again");
  EXPECT_EQ(store.DigestOf(*resolved).value(), Sha256Hex("again"));

  EXPECT_THAT(store.Resolve((outside.path() / "no").string()).error().text(),
              HasSubstr("no such file"));
  EXPECT_THAT(store.Resolve(outside.path().string()).error().text(), HasSubstr("a folder"));
  WriteFile(outside.path() / "config.json", "{}");
  EXPECT_EQ(store.Resolve(outside.path().string()).value().path, outside.path());
  EXPECT_THAT(store.Resolve("M").error().text(), HasSubstr("not in the catalogue"));
}

// A clock that a test sets.
class FixedClock : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return seconds; }
  std::int64_t MonotonicNanoseconds() const override { return 0; }
  std::int64_t seconds = 0;
};

TEST(ModelStore, DigestsAreRememberedOnlyOfFilesThatHaveSettled) {
  const test::ScratchDir dir;
  const fs::path path = dir.path() / "a.gguf";
  WriteFile(path, "first");
  FixedClock clock;
  const auto store = ModelStore::Open({.home = dir.path() / "home", .clock = &clock});
  ASSERT_TRUE(store.ok());
  const auto resolved = store->Resolve(path.string());
  clock.seconds = SystemClock().UnixSeconds();
  EXPECT_EQ(store->DigestOf(*resolved).value(), Sha256Hex("first"));
  EXPECT_FALSE(fs::exists(dir.path() / "home/digests"));
  clock.seconds += 3600;
  EXPECT_EQ(store->DigestOf(*resolved).value(), Sha256Hex("first"));
  ASSERT_TRUE(fs::exists(dir.path() / "home/digests"));
  // The remembered digest is what answers now.
  for (const auto& entry : fs::directory_iterator(dir.path() / "home/digests")) {
    std::string text = test::ReadFile(entry.path());
    const std::size_t at = text.find(Sha256Hex("first"));
    ASSERT_NE(at, text.npos);
    WriteFile(entry.path(), text.replace(at, 64, Sha256Hex("planted")));
  }
  EXPECT_EQ(store->DigestOf(*resolved).value(), Sha256Hex("planted"));
  WriteFile(path, "other");
  EXPECT_EQ(store->DigestOf(*resolved).value(), Sha256Hex("other"));
}

TEST(ModelStore, ADamagedRecordIsNamedAndReplacedByTheNextPull) {
  const test::ScratchDir outside;
  WriteFile(outside.path() / "s", Bytes(100));
  const TestStore place(OneFile(Bytes(100), outside.path() / "s"));
  ModelStore store = place.Open();
  const fs::path record = store.Pull("m")->model.folder / "record.json";
  const std::string good = test::ReadFile(record);
  std::string traversal = good;
  traversal.replace(traversal.find("m.gguf"), 6, "../../x");
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string("{\"files\":3}"), traversal}) {
    WriteFile(record, bad);
    EXPECT_THAT(store.Resolve("m").error().text(),
                HasSubstr("record.json: this record is damaged"));
    EXPECT_THAT(store.List()->front().problem, HasSubstr("damaged"));
    EXPECT_FALSE(store.List()->front().local.has_value());
  }
  EXPECT_TRUE(store.Pull("m").ok());
  EXPECT_TRUE(store.Resolve("m").ok());
}

class Collect : public ProgressSink {
 public:
  void Report(std::string_view what, std::uint64_t done, std::uint64_t total) override {
    EXPECT_EQ(what, "m");
    EXPECT_EQ(total, 3'000'000u);
    EXPECT_GE(done, last);
    last = done;
    ++count;
    if (stop && done > 1'000'000) stop->Set();
  }
  std::uint64_t last = 0;
  int count = 0;
  StopFlag* stop = nullptr;
};

TEST(ModelStore, ProgressGoesForwardAndAStoppedPullGoesOnWhereItWas) {
  const test::ScratchDir outside;
  WriteFile(outside.path() / "s", Bytes(3'000'000));
  const TestStore place(OneFile(Bytes(3'000'000), outside.path() / "s"));
  ModelStore store = place.Open();
  StopFlag stop;
  Collect progress;
  progress.stop = &stop;
  const auto stopped = store.Pull("m", {.progress = &progress, .stop = &stop});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kCancelled);
  EXPECT_FALSE(place.Sees("m"));
  EXPECT_GT(store.List()->front().partial_bytes, 1'000'000u);

  Collect again;
  ASSERT_TRUE(store.Pull("m", {.progress = &again}).ok());
  EXPECT_EQ(again.last, 3'000'000u);
  EXPECT_EQ(again.count, 3) << "two megabytes and the end; the first was there";
}

}  // namespace
}  // namespace tatara::weights
