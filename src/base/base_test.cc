#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "tatara/base/clock.h"
#include "tatara/base/files.h"
#include "tatara/base/fp_environment.h"
#include "tatara/base/localise.h"
#include "tatara/base/metadata.h"
#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"
#include "tatara/base/thread_pool.h"
#include "test_support.h"

namespace tatara {
namespace {

TEST(Sha256, MatchesTheStandardsExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Philox, MatchesTheAuthorsKnownAnswers) {
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kAll = 0xffffffff;
  EXPECT_EQ(Philox4x32({kAll, kAll, kAll, kAll}, {kAll, kAll}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Philox, UnitIsBelowOneAndDependsOnEveryPartOfTheKey) {
  const RandomKey key{.seed = 7, .purpose = RandomPurpose::kSample, .choice = 1, .position = 9};
  const double u = RandomUnit(key);
  EXPECT_GE(u, 0.0);
  EXPECT_LT(u, 1.0);
  RandomKey other = key;
  other.position = 9 + (1ull << 32);
  EXPECT_NE(RandomUnit(other), u);
  other = key;
  other.seed += 1ull << 40;
  EXPECT_NE(RandomUnit(other), u);
  other = key;
  other.choice = 0;
  EXPECT_NE(RandomUnit(other), u);
}

TEST(ThreadPool, RunsEveryItemOnceOnAnyNumberOfThreads) {
  for (const int n_threads : {1, 2, 3, 8}) {
    ThreadPool pool(n_threads);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> seen(97);
      pool.For(97, [&](std::int64_t item, int thread) {
        ASSERT_LT(thread, n_threads);
        ++seen[static_cast<std::size_t>(item)];
      });
      for (const auto& count : seen) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, RunsMoreItemsThanAShareCounts) {
  ThreadPool pool(3);
  for (const int n_items : {200'000, 400'003}) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n_items));
    pool.For(n_items, [&](std::int64_t item, int) { ++seen[static_cast<std::size_t>(item)]; });
    for (const auto& count : seen) ASSERT_EQ(count, 1);
  }
}

TEST(ThreadPool, NeighbouringItemsAreOfOneThread) {
  ThreadPool pool(2);
  for (int round = 0; round < 100; ++round) {
    std::vector<int> owners(4, -1);
    std::atomic<int> begun{0};
    // Both threads begin, then both begin their second item: nobody can take from the other.
    pool.For(4, [&](std::int64_t item, int thread) {
      owners[static_cast<std::size_t>(item)] = thread;
      ++begun;
      while (begun < (item % 2 == 0 ? 2 : 4)) std::this_thread::yield();
    });
    EXPECT_THAT(owners, testing::ElementsAre(0, 0, 1, 1));
  }
}

// The caller runs what a thread that is busy elsewhere, or late, has left of its share.
TEST(ThreadPool, TheShareOfALateThreadIsRunByOthers) {
  ThreadPool pool(2);
  std::atomic<int> run{0};
  pool.For(64, [&](std::int64_t item, int) {
    if (item == 32) {  // the worker's first, unless the caller was there before
      while (run < 63) std::this_thread::yield();
    }
    ++run;
  });
  EXPECT_EQ(run, 64);
}

// Loops of a few items, one after the other: workers come late, or not at all, and none may be left
// inside when the caller goes on.
TEST(ThreadPool, ManyShortLoopsAreEachWholeWhenTheCallReturns) {
  ThreadPool pool(4);
  std::vector<int> counts(3, 0);  // plain: a worker that stayed behind would be a data race
  for (int round = 0; round < 20'000; ++round) {
    pool.For(3, [&](std::int64_t item, int) { ++counts[static_cast<std::size_t>(item)]; });
    for (int& count : counts) --count;
  }
  EXPECT_THAT(counts, testing::Each(0));
}

TEST(ThreadPool, ThreadsThatSleepAreWokenForTheNextLoop) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> together{0};
    // Two items that wait for each other need two threads.
    pool.For(2, [&](std::int64_t, int) {
      ++together;
      while (together < 2) std::this_thread::yield();
    });
    EXPECT_EQ(together, 2);
  }
}

TEST(ThreadPool, BodiesRunInTheContractsFloatingPointEnvironment) {
  ThreadPool pool(3);
  std::atomic<int> wrong{0};
  pool.For(64, [&](std::int64_t, int) { wrong += !FpEnvironmentIsRight(); });
  EXPECT_EQ(wrong, 0);
}

TEST(Localise, FallsBackToEnglishAndFillsNumberedFields) {
  static constexpr Translation kTable[] = {{"{0} of {1}", "{1} のうち {0}"}};
  InstallTranslations(kTable);
  EXPECT_EQ(Localise(Language::kJapanese, "{0} of {1}", {"1", "2"}), "2 のうち 1");
  EXPECT_EQ(Localise(Language::kEnglish, "{0} of {1}", {"1", "2"}), "1 of 2");
  EXPECT_EQ(Localise(Language::kJapanese, "not there {0}{x}", {"a"}), "not there a{x}");
}

TEST(Files, AtomicWriteLeavesTheOldContentWhenTheFolderIsGone) {
  const test::ScratchDir dir;
  const auto path = dir.path() / "a.txt";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two", {.mode = 0600}).ok());
  EXPECT_EQ(test::ReadFile(path), "two");
  const auto status = std::filesystem::status(path).permissions();
  EXPECT_EQ(static_cast<unsigned>(status) & 0777u, 0600u);
  const auto failed = WriteFileAtomically(dir.path() / "none" / "b.txt", "x");
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().text(), testing::HasSubstr("none/b.txt"));
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path()))
    ++entries;
  EXPECT_EQ(entries, 1);
}

TEST(Files, ASecondLockIsRefusedAndNamesTheFile) {
  const test::ScratchDir dir;
  const auto first = FileLock::Acquire(dir.path() / "lock", 0);
  ASSERT_TRUE(first.ok());
  const auto second = FileLock::Acquire(dir.path() / "lock", 30);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().text(), testing::HasSubstr("lock"));
}

TEST(Files, WholeReadRefusesMoreThanTheLimit) {
  const test::ScratchDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir.path() / "f", "12345").ok());
  EXPECT_TRUE(ReadWholeFile(dir.path() / "f", 5).ok());
  EXPECT_FALSE(ReadWholeFile(dir.path() / "f", 4).ok());
}

TEST(Files, AFolderInPlaceOfAFileIsRefusedInput) {
  const test::ScratchDir dir;
  const auto read = ReadWholeFile(dir.path(), 5);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().kind(), ErrorKind::kRefused);
}

TEST(Metadata, WrongKindsAndMissingKeysAreRefusedByName) {
  Metadata data("m.gguf");
  data.Set("a", std::uint64_t{5});
  data.Set("b", std::string("x"));
  data.Set("huge", ~std::uint64_t{0});
  EXPECT_EQ(data.Int("a").value(), 5);
  EXPECT_EQ(data.Float("a").value(), 5.0);
  EXPECT_EQ(data.IntOr("none", 3).value(), 3);
  EXPECT_FALSE(data.Int("b").ok());
  EXPECT_FALSE(data.IntOr("b", 3).ok());
  EXPECT_FALSE(data.Int("huge").ok());
  EXPECT_EQ(data.String("none").error().text(), "m.gguf: the key 'none' is missing");
}

TEST(Clock, FormatsUtc) {
  EXPECT_EQ(FormatUtc(0), "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace tatara
