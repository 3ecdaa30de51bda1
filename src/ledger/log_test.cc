// The log on disk: what it acknowledged is there after kill -9, a full disk and a second writer;
// and one changed bit anywhere is found and named.

#include "tatara/ledger/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tatara/base/files.h"
#include "test_support.h"

namespace tatara::ledger {
namespace {

using ::testing::HasSubstr;

constexpr const char* kName = "tatara.test/log";

class LogTest : public ::testing::Test {
 protected:
  LogTest() : key_(SigningKey::LoadOrCreate(scratch_.path()).value()) {}
  std::filesystem::path folder() const { return scratch_.path() / "log"; }
  std::unique_ptr<Log> MustOpen() {
    auto log = Log::Open(folder(), kName, key_);
    EXPECT_TRUE(log.ok()) << log.error().text();
    return log.ok() ? std::move(log).value() : nullptr;
  }
  NoteKey Public() const { return {kName, key_.public_key()}; }
  LogReport Verify(std::string_view earlier = {}) { return VerifyLog(folder(), Public(), earlier); }
  std::string Bytes(const char* file) { return ReadWholeFile(folder() / file, 1 << 20).value(); }
  void Write(const char* file, const std::string& bytes) {
    std::ofstream(folder() / file, std::ios::binary | std::ios::trunc) << bytes;
  }

  test::ScratchDir scratch_;
  SigningKey key_;
};

TEST_F(LogTest, EntriesComeBackAndTheTreeIsTheirs) {
  auto log = MustOpen();
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(log->size(), 0U);
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto index = log->Append(std::string(i * 37, static_cast<char>('a' + i)));
    ASSERT_TRUE(index.ok()) << index.error().text();
    EXPECT_EQ(*index, i);
  }
  const std::vector<std::string> three = {"x", "", "z"};
  EXPECT_EQ(log->AppendAll(three).value(), 20U);
  log = MustOpen();
  ASSERT_EQ(log->size(), 23U);
  EXPECT_EQ(log->Entry(3).value(), std::string(3 * 37, 'd'));
  EXPECT_EQ(log->Entry(21).value(), "");
  const auto text = OpenNote(log->SignedCheckpoint().value(), Public(), "c");
  ASSERT_TRUE(text.ok());
  const auto checkpoint = ParseCheckpoint(*text, "c").value();
  EXPECT_EQ(checkpoint.size, 23U);
  EXPECT_EQ(checkpoint.root, TreeHash(log->leaves()));
  EXPECT_TRUE(Verify().ok);
}

TEST_F(LogTest, TwoWritersTakeTurnsAndSeeEachOther) {
  auto a = MustOpen(), b = MustOpen();
  EXPECT_EQ(a->Append("a0").value(), 0U);
  EXPECT_EQ(b->Append("b1").value(), 1U);
  EXPECT_EQ(a->Append("a2").value(), 2U);
  ASSERT_TRUE(b->Refresh().ok());
  EXPECT_EQ(b->Entry(2).value(), "a2");
  EXPECT_TRUE(Verify().ok);
}

TEST_F(LogTest, EveryChangedByteIsFound) {
  {
    auto log = MustOpen();
    for (const char* entry : {"the first entry", "", "another"})
      ASSERT_TRUE(log->Append(entry).ok());
  }
  for (const char* file : {"entries", "checkpoint"}) {
    const std::string bytes = Bytes(file);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
      Write(file, changed);
      const LogReport report = Verify();
      ASSERT_FALSE(report.ok) << file << " byte " << i;
      EXPECT_THAT(report.first_difference, HasSubstr(file)) << i;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      Write(file, bytes.substr(0, i));
      ASSERT_FALSE(Verify().ok) << file << " cut at " << i;
      if (std::string_view(file) == "entries") {
        EXPECT_FALSE(Log::Open(folder(), kName, key_).ok()) << i;  // and nothing was cut off
        EXPECT_EQ(Bytes(file).size(), i);
      }
    }
    Write(file, bytes);
    ASSERT_TRUE(Verify().ok);
  }
  std::string changed = Bytes("entries");
  changed[kLogEntryBytesMax % 7 + 60] ^= 1;
  Write("entries", changed);
  EXPECT_THAT(Verify().first_difference, HasSubstr("entry "));
}

TEST_F(LogTest, ALogThatWasWrittenAnewDoesNotGoOnFromTheOldCheckpoint) {
  std::string old;
  {
    auto log = MustOpen();
    ASSERT_TRUE(log->Append("one").ok());
    ASSERT_TRUE(log->Append("two").ok());
    old = log->SignedCheckpoint().value();
    ASSERT_TRUE(log->Append("three").ok());
  }
  EXPECT_TRUE(Verify(old).ok);
  std::filesystem::remove_all(folder());
  {
    auto log = MustOpen();
    for (const char* entry : {"one", "TWO", "three"}) ASSERT_TRUE(log->Append(entry).ok());
  }
  EXPECT_TRUE(Verify().ok);
  EXPECT_THAT(Verify(old).first_difference, HasSubstr("does not go on"));
  const auto other = SigningKey::LoadOrCreate(scratch_.path() / "other").value();
  EXPECT_FALSE(VerifyLog(folder(), {kName, other.public_key()}, {}).ok);
  EXPECT_FALSE(Log::Open(folder(), kName, other).ok());
  EXPECT_FALSE(Log::Open(folder(), "another/log", key_).ok());
}

TEST_F(LogTest, AFullDiskRefusesTheEntryAndKeepsTheRest) {
  auto log = MustOpen();
  ASSERT_TRUE(log->Append(std::string(1000, 'a')).ok());
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* const handler = signal(SIGXFSZ, SIG_IGN);
  struct rlimit tight = before;
  tight.rlim_cur = 1500;  // as a disk that fills in the middle of the entry
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_FALSE(log->Append(std::string(1000, 'b')).ok());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_TRUE(Verify().ok);
  EXPECT_EQ(log->Append("c").value(), 1U);
  EXPECT_EQ(MustOpen()->Entry(1).value(), "c");
  EXPECT_TRUE(Verify().ok);
}

// Three processes on one folder: every entry once, each process's in its order.
TEST_F(LogTest, ProcessesThatAppendAtOnceLoseNothing) {
  constexpr int kProcesses = 3, kEntries = 25;
  ASSERT_NE(MustOpen(), nullptr);
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto log = Log::Open(folder(), kName, key_);
      for (int i = 0; log.ok() && i < kEntries; ++i) {
        if (!(*log)->Append(std::to_string(p) + " " + std::to_string(i)).ok()) _exit(1);
      }
      _exit(log.ok() ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  auto log = MustOpen();
  ASSERT_EQ(log->size(), static_cast<std::uint64_t>(kProcesses * kEntries));
  std::vector<int> next(kProcesses);
  for (std::uint64_t i = 0; i < log->size(); ++i) {
    const std::string entry = log->Entry(i).value();
    const auto p = static_cast<std::size_t>(entry[0] - '0');
    EXPECT_EQ(entry, std::to_string(p) + " " + std::to_string(next[p]++));
  }
  EXPECT_TRUE(Verify().ok) << Verify().first_difference;
}

// A child appends and says so after each; it is killed at some moment, a hundred times.
TEST_F(LogTest, KilledAHundredTimesItLosesNothingAcknowledged) {
  std::uint64_t acknowledged = 0;
  std::uint32_t state = 7;
  for (int round = 0; round < 100; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      auto log = Log::Open(folder(), kName, key_);
      if (!log.ok()) _exit(1);
      for (;;) {
        const std::uint64_t next = (*log)->size();
        const auto index =
            (*log)->Append(std::to_string(next) + std::string(next * 7919 % 3000, '.'));
        if (!index.ok() || ::write(ends[1], &*index, sizeof *index) != sizeof *index) _exit(1);
      }
    }
    ::close(ends[1]);
    state = state * 1664525 + 1013904223;
    std::uint64_t index = 0;
    if (round % 2 == 1 && ::read(ends[0], &index, sizeof index) == sizeof index) {
      acknowledged = index + 1;  // it is at work
    }
    ::usleep(state % 10'000);
    ::kill(child, SIGKILL);
    while (::read(ends[0], &index, sizeof index) == sizeof index) acknowledged = index + 1;
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    auto log = MustOpen();
    ASSERT_NE(log, nullptr);
    ASSERT_GE(log->size(), acknowledged);
    ASSERT_LE(log->size(), acknowledged + 1);
    for (std::uint64_t i = log->size() < 3 ? 0 : log->size() - 3; i < log->size(); ++i) {
      ASSERT_EQ(log->Entry(i).value(), std::to_string(i) + std::string(i * 7919 % 3000, '.'));
    }
    acknowledged = log->size();
  }
  EXPECT_GE(acknowledged, 50U);
  auto log = MustOpen();
  ASSERT_TRUE(log->Append("the end").ok());
  EXPECT_TRUE(Verify().ok) << Verify().first_difference;
}

}  // namespace
}  // namespace tatara::ledger
