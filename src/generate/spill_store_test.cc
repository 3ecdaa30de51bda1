#include "spill_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <set>

#include "test_support.h"

namespace tatara::generate {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPageBytes = 1000;
const Digest kTenant = ScopeKey("tenant a");
const Digest kOther = ScopeKey("tenant b");

PageKey Key(int n) {
  const std::array<std::int32_t, 64> tokens{n};
  return NextPageKey(kTenant, tokens);
}

std::vector<std::byte> Page(int n) {
  std::vector<std::byte> bytes(kPageBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(n + 7 * i);
  return bytes;
}

SpillOptions In(const fs::path& root, int n_pages_max = 100, std::string_view identity = "model") {
  return {.root = root,
          .bytes_max = n_pages_max * static_cast<std::int64_t>(kPageBytes + kSpillHeaderBytes),
          .identity = Sha256Of(AsBytes(identity)),
          .page_bytes = kPageBytes};
}

std::unique_ptr<SpillStore> Open(SpillOptions options) {
  auto store = SpillStore::Open(std::move(options));
  EXPECT_TRUE(store.ok()) << store.error().text();
  return std::move(store).value();
}

// Whether the page is there, with the bytes that it had.
bool Has(SpillStore& store, int n) {
  store.WaitIdle();
  if (store.Ask(Key(n)) == SpillStore::Found::kNo) return false;
  store.WaitIdle();
  std::vector<std::byte> got(kPageBytes);
  if (!store.Take(Key(n), got)) return false;
  EXPECT_EQ(got, Page(n));
  return true;
}

std::vector<fs::path> PageFiles(const fs::path& root) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file() && entry.path().filename() != "lock") {
      files.push_back(entry.path());
    }
  }
  return files;
}

TEST(SpillStore, GivesBackWhatWasSavedAlsoAfterARestart) {
  const test::ScratchDir scratch;
  {
    const auto store = Open(In(scratch.path()));
    for (int n = 0; n < 5; ++n) store->Save(kTenant, Key(n), Page(n));
    EXPECT_TRUE(Has(*store, 3));
    EXPECT_FALSE(Has(*store, 9));
    store->WaitIdle();
    EXPECT_TRUE(Has(*store, 3));
    EXPECT_EQ(store->counters().written, 5);
  }
  const auto store = Open(In(scratch.path()));
  for (int n = 0; n < 5; ++n) EXPECT_TRUE(Has(*store, n));
  EXPECT_EQ(store->counters().pages, 5);
}

TEST(SpillStore, FilesAreTheirOwnersAndApartByTenant) {
  const test::ScratchDir scratch;
  const auto store = Open(In(scratch.path() / "spill"));
  store->Save(kTenant, Key(1), Page(1));
  store->Save(kOther, Key(2), Page(2));
  store->WaitIdle();
  const auto mode = [](const fs::path& path) {
    struct stat status;
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_mode & 0777;
  };
  std::set<std::string> folders;
  for (const fs::path& file : PageFiles(scratch.path())) {
    EXPECT_EQ(mode(file), 0600u);
    EXPECT_EQ(mode(file.parent_path()), 0700u);
    EXPECT_EQ(mode(file.parent_path().parent_path()), 0700u);
    folders.insert(file.parent_path().filename().string());
  }
  EXPECT_EQ(folders, (std::set{ToHex(ByteSpan(kTenant)), ToHex(ByteSpan(kOther))}));
  EXPECT_EQ(mode(scratch.path() / "spill"), 0700u);
}

TEST(SpillStore, StaysWithinItsBoundAndRemovesTheLeastRecentlyUsed) {
  const test::ScratchDir scratch;
  {
    const auto store = Open(In(scratch.path(), 4));
    for (int n = 0; n < 4; ++n) store->Save(kTenant, Key(n), Page(n));
    store->WaitIdle();
    EXPECT_TRUE(Has(*store, 0));  // used again
    for (int n = 4; n < 6; ++n) store->Save(kTenant, Key(n), Page(n));
    store->WaitIdle();
    EXPECT_EQ(store->counters().pages, 4);
    EXPECT_EQ(store->counters().removed, 2);
    EXPECT_EQ(PageFiles(scratch.path()).size(), 4u);
    for (const int n : {0, 3, 4, 5}) EXPECT_TRUE(Has(*store, n)) << n;
    for (const int n : {1, 2}) EXPECT_FALSE(Has(*store, n)) << n;
  }
  EXPECT_EQ(Open(In(scratch.path(), 2))->counters().pages, 2) << "a smaller bound holds at once";
  EXPECT_EQ(Open(In(scratch.path(), 0))->counters().pages, 0);
}

class SetClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return now; }
  std::int64_t MonotonicNanoseconds() const override { return 0; }
  std::int64_t now = SystemClock().UnixSeconds();
};

TEST(SpillStore, PagesThatNobodyUsedForLongAreRemoved) {
  const test::ScratchDir scratch;
  SetClock clock;
  SpillOptions options = In(scratch.path());
  options.keep_seconds = 3600;
  options.clock = &clock;
  Open(options)->Save(kTenant, Key(1), Page(1));
  clock.now += 3000;
  EXPECT_TRUE(Has(*Open(options), 1));
  clock.now += 3000;
  const auto store = Open(options);
  EXPECT_FALSE(Has(*store, 1));
  EXPECT_TRUE(PageFiles(scratch.path()).empty());
}

TEST(SpillStore, BrokenAndForeignFilesAreRemovedAndNeverRead) {
  const test::ScratchDir scratch;
  {
    Open(In(scratch.path()))->Save(kTenant, Key(1), Page(1));
  }
  const fs::path file = PageFiles(scratch.path()).at(0);
  const std::string whole = test::ReadFile(file);
  const auto write = [](const fs::path& path, std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
  };
  // Every byte of the header that means something, and of the page, is looked at.
  for (const std::size_t at : {0u, 8u, 12u, 20u, 50u, 81u, 90u, 100u, 127u, 128u, 1127u}) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    write(file, changed);
    const auto store = Open(In(scratch.path()));
    EXPECT_FALSE(Has(*store, 1)) << at;
    EXPECT_EQ(store->counters().rejected, 1) << at;
    EXPECT_FALSE(fs::exists(file)) << at;
  }
  // Of another length, left half written, named after another page, no file at all.
  const fs::path folder = file.parent_path();
  write(file, whole.substr(0, 500));
  write(file.string() + ".new", whole);
  write(folder / (ToHex(ByteSpan(Key(2))) + ".page"), whole);
  write(folder / "something.page", whole);
  fs::create_symlink(folder / (ToHex(ByteSpan(Key(2))) + ".page"),
                     folder / (ToHex(ByteSpan(Key(3))) + ".page"));
  write(folder / "notes.txt", "of somebody");
  write(scratch.path() / "notes.txt", "of somebody");
  const auto store = Open(In(scratch.path()));
  for (const int n : {1, 2, 3}) EXPECT_FALSE(Has(*store, n)) << n;
  EXPECT_EQ(PageFiles(scratch.path()).size(), 2u) << "what was never ours stays";
}

TEST(SpillStore, PagesOfAnotherModelAreNotSeenAndMakeRoom) {
  const test::ScratchDir scratch;
  {
    const auto store = Open(In(scratch.path(), 10, "another model"));
    for (int n = 0; n < 8; ++n) store->Save(kTenant, Key(n), Page(n));
  }
  const auto store = Open(In(scratch.path(), 10));
  EXPECT_FALSE(Has(*store, 1));
  for (int n = 0; n < 2; ++n) store->Save(kTenant, Key(n), Page(n));
  store->WaitIdle();
  EXPECT_EQ(PageFiles(scratch.path()).size(), 10u);
  store->Save(kTenant, Key(2), Page(2));
  store->WaitIdle();
  EXPECT_EQ(PageFiles(scratch.path()).size(), 3u) << "the other model's have gone";
  EXPECT_EQ(store->counters().removed, 0);
}

TEST(SpillStore, IsOneProcessesAtATime) {
  const test::ScratchDir scratch;
  const auto store = Open(In(scratch.path()));
  const auto second = SpillStore::Open(In(scratch.path()));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind(), ErrorKind::kUnavailable);
  Open(In(scratch.path(), 100, "another model"));
  std::ofstream(scratch.path() / "file") << "x";
  EXPECT_FALSE(SpillStore::Open(In(scratch.path() / "file")).ok());
}

TEST(SpillStore, AFullDiskLosesPagesAndNothingElse) {
  const test::ScratchDir scratch;
  SpillOptions options = In(scratch.path());
  options.write = [n = 0](const fs::path& path, const SpillFileId& id, ByteSpan page) mutable {
    return ++n % 2 == 0 && WriteSpillFile(path, id, page);
  };
  const auto store = Open(std::move(options));
  for (int n = 0; n < 10; ++n) store->Save(kTenant, Key(n), Page(n));
  store->WaitIdle();
  EXPECT_EQ(store->counters().dropped, 5);
  for (int n = 0; n < 10; ++n) EXPECT_EQ(Has(*store, n), n % 2 == 1);
  // The real thing: the folder has gone.
  fs::remove_all(scratch.path());
  store->Save(kTenant, Key(20), Page(20));
  store->WaitIdle();
  EXPECT_FALSE(Has(*store, 20));
  EXPECT_FALSE(Has(*store, 1));
}

TEST(SpillStore, AForgottenTenantLeavesNoFileOfAnyModel) {
  const test::ScratchDir scratch;
  {
    Open(In(scratch.path(), 10, "another model"))->Save(kTenant, Key(1), Page(1));
  }
  const auto store = Open(In(scratch.path()));
  for (int n = 0; n < 50; ++n) store->Save(n % 2 == 0 ? kTenant : kOther, Key(n), Page(n));
  store->Forget(kTenant);
  store->WaitIdle();
  EXPECT_EQ(PageFiles(scratch.path()).size(), 25u);
  for (int n = 0; n < 50; ++n) EXPECT_EQ(Has(*store, n), n % 2 == 1);
  store->Save(kTenant, Key(0), Page(0));
  EXPECT_TRUE(Has(*store, 0)) << "and may come again";
}

TEST(SpillStore, ManyLoadedAndNeverTakenAreNotKept) {
  const test::ScratchDir scratch;
  const auto store = Open(In(scratch.path()));
  for (int n = 0; n < 90; ++n) store->Save(kTenant, Key(n), Page(n));
  store->WaitIdle();
  for (int n = 0; n < 90; ++n) {
    store->Ask(Key(n));
    store->WaitIdle();
  }
  int in_memory = 0;
  std::vector<std::byte> page(kPageBytes);
  for (int n = 0; n < 90; ++n) in_memory += store->Take(Key(n), page);
  EXPECT_LE(in_memory, static_cast<int>(SpillStore::kLoadedMax));
  EXPECT_TRUE(Has(*store, 0));
}

}  // namespace
}  // namespace tatara::generate
