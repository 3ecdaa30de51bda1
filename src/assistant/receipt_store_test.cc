#include "receipt_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "test_support.h"

namespace tatara::assistant {
namespace {

namespace fs = std::filesystem;

class SetClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return now; }
  std::int64_t MonotonicNanoseconds() const override { return 0; }
  std::int64_t now = 1'800'000'000;
};

class ReceiptStoreTest : public ::testing::Test {
 protected:
  ReceiptStoreOptions Options(std::int64_t keep_seconds = 86400,
                              std::int64_t bytes_max = 1 << 20) const {
    return {.root = scratch_.path() / "receipts",
            .keep_seconds = keep_seconds,
            .bytes_max = bytes_max,
            .clock = &clock_};
  }
  int Files() const {
    int n = 0;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(Options().root, error)) {
      n += entry.is_regular_file();
    }
    return n;
  }
  test::ScratchDir scratch_;
  SetClock clock_;
};

TEST_F(ReceiptStoreTest, IsFoundByItsTenantOnlyAlsoAfterARestart) {
  {
    ReceiptStore store(Options());
    EXPECT_TRUE(store.Keep("a", "chatcmpl-1", "of a"));
    EXPECT_TRUE(store.Keep("b", "chatcmpl-1", "of b"));
    EXPECT_TRUE(store.Keep("a", "../../x", "odd id"));
  }
  ReceiptStore store(Options());
  EXPECT_EQ(store.Find("a", "chatcmpl-1").value(), "of a");
  EXPECT_EQ(store.Find("b", "chatcmpl-1").value(), "of b");
  EXPECT_EQ(store.Find("a", "../../x").value(), "odd id");
  for (const auto& missing : {store.Find("c", "chatcmpl-1"), store.Find("b", "../../x"),
                              store.Find("", "chatcmpl-1"), store.Find("a", "")}) {
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  }
  EXPECT_EQ(store.counts().bytes, 4 + 4 + 6);
}

TEST_F(ReceiptStoreTest, FilesAreForTheirOwnerOnly) {
  ReceiptStore store(Options());
  store.Keep("a", "1", "x");
  for (const auto& entry : fs::recursive_directory_iterator(Options().root)) {
    struct stat status;
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, entry.is_directory() ? 0700u : 0600u) << entry.path();
    EXPECT_EQ(entry.path().string().find("/a/"), std::string::npos);
  }
}

TEST_F(ReceiptStoreTest, OldOnesGoAndARetentionOfZeroKeepsNone) {
  {
    ReceiptStore store(Options(7200));
    store.Keep("a", "old", "x");
    clock_.now += 5000;
    store.Keep("a", "newer", "x");
    EXPECT_TRUE(store.Find("a", "old").ok());
    clock_.now += 6000;
    store.Keep("b", "other", "x");  // any call looks after the bounds
    EXPECT_FALSE(store.Find("a", "old").ok());
    EXPECT_TRUE(store.Find("a", "newer").ok());
  }
  EXPECT_EQ(Files(), 2);
  ReceiptStore none(Options(0));
  EXPECT_EQ(Files(), 0);
  EXPECT_FALSE(none.Keep("a", "1", "x"));
  EXPECT_EQ(Files(), 0);
}

TEST_F(ReceiptStoreTest, StaysWithinItsBoundAtTheCostOfWhoeverHasMost) {
  ReceiptStore store(Options(86400, 64'000));
  store.Keep("small", "first", std::string(500, 'x'));
  for (int i = 0; i < 200; ++i) {
    store.Keep("large", std::to_string(i), std::string(1000, 'x'));
    EXPECT_LE(store.counts().bytes, 64'000);
  }
  EXPECT_TRUE(store.Find("small", "first").ok());
  EXPECT_FALSE(store.Find("large", "0").ok());
  EXPECT_TRUE(store.Find("large", "199").ok());
  EXPECT_GE(store.counts().bytes, 55'000) << "not more than needed goes";
}

TEST_F(ReceiptStoreTest, WhatIsDeletedIsGoneFromDisk) {
  ReceiptStore store(Options());
  for (const char* tenant : {"a", "b"}) {
    for (const char* id : {"1", "2", "3"}) store.Keep(tenant, id, "x");
  }
  EXPECT_TRUE(store.Delete("a", "2").ok());
  EXPECT_FALSE(store.Delete("a", "2").ok());
  EXPECT_FALSE(store.Find("a", "2").ok());
  EXPECT_EQ(Files(), 5);
  store.DeleteAll("a");
  EXPECT_EQ(Files(), 3);
  EXPECT_FALSE(store.Find("a", "1").ok());
  EXPECT_TRUE(store.Find("b", "2").ok());
  EXPECT_EQ(store.counts().bytes, 3);
  EXPECT_TRUE(store.Keep("a", "4", "x"));
}

TEST_F(ReceiptStoreTest, SurvivesAKillThatFollows) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ReceiptStore store(Options());
    for (int i = 0; i < 20; ++i) store.Keep("a", std::to_string(i), "content " + std::to_string(i));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  std::ofstream(fs::directory_iterator(fs::directory_iterator(Options().root)->path())->path() /
                "half.json.new")
      << "ha";
  ReceiptStore store(Options());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(store.Find("a", std::to_string(i)).value(), "content " + std::to_string(i));
  }
  EXPECT_EQ(Files(), 20) << "what was half written is gone";
}

TEST_F(ReceiptStoreTest, AFolderThatCannotBeMadeIsCounted) {
  std::ofstream(Options().root) << "a file";
  ReceiptStore store(Options());
  EXPECT_FALSE(store.Keep("a", "1", "x"));
  EXPECT_EQ(store.counts().lost, 1);
  EXPECT_FALSE(store.Find("a", "1").ok());
}

TEST_F(ReceiptStoreTest, WhatWasKeptIsOnTheDiskSoonAndAtTheEnd) {
  std::atomic<int> synced = 0;
  ReceiptStoreOptions options = Options();
  options.sync.sync_one = [&](const fs::path& path) {
    synced += path.extension() == ".json";
    return true;
  };
  {
    ReceiptStore store(options);
    store.Keep("a", "1", "x");
    while (store.counts().durable < 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(store.counts().durable, store.counts().kept);
    store.Keep("a", "2", "y");
  }
  EXPECT_EQ(synced, 2);
}

// The figure of README.md.
TEST_F(ReceiptStoreTest, DISABLED_TimesOfKeeping) {
  ReceiptStore store(Options(86400, 1 << 30));
  double best_us = 1e9, sum_us = 0;
  constexpr int kRounds = 2000;
  for (int i = 0; i < kRounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    store.Keep("a", std::to_string(i), std::string(8192, 'x'));
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    best_us = std::min(best_us, took.count());
    sum_us += took.count();
  }
  std::printf("a receipt of 8 KiB: best %.0f us, mean %.0f us, durable so far %lld of %d\n",
              best_us, sum_us / kRounds, static_cast<long long>(store.counts().durable), kRounds);
}

}  // namespace
}  // namespace tatara::assistant
