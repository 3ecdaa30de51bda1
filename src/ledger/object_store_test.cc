// Objects: there whole under their digest or not at all, changed ones found, unreached ones
// collected.

#include "tatara/ledger/object_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/ledger/log.h"
#include "test_support.h"

namespace tatara::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ObjectStoreTest : public ::testing::Test {
 protected:
  test::ScratchDir scratch_;
  ObjectStore store_{scratch_.path()};
};

TEST_F(ObjectStoreTest, WhatIsPutComesBackByItsDigest) {
  const auto digest = store_.Put("some bytes");
  ASSERT_TRUE(digest.ok()) << digest.error().text();
  EXPECT_EQ(*digest, Sha256Hex(std::string_view("some bytes")));
  EXPECT_EQ(store_.Put("some bytes").value(), *digest);
  EXPECT_EQ(store_.Get(*digest, 100).value(), "some bytes");
  EXPECT_FALSE(store_.Get(*digest, 3).ok());
  struct stat status;
  ASSERT_EQ(stat(store_.PathOf(*digest)->c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0400U);

  const auto file = scratch_.path() / "file";
  std::ofstream(file, std::ios::binary) << std::string(3'000'000, 'x');
  const auto of_file = store_.PutFile(file);
  ASSERT_TRUE(of_file.ok()) << of_file.error().text();
  EXPECT_EQ(*of_file, Sha256OfFile(file).value());
  EXPECT_TRUE(store_.Verify(*of_file).ok());
  EXPECT_EQ(store_.All()->size(), 2U);
  EXPECT_FALSE(store_.PutFile(scratch_.path() / "none").ok());
}

TEST_F(ObjectStoreTest, AChangedObjectIsFoundAndMended) {
  const std::string digest = store_.Put("some bytes").value();
  const auto path = store_.PathOf(digest).value();
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << "some bytez";
  EXPECT_THAT(store_.Verify(digest).error().text(), HasSubstr("was changed"));
  EXPECT_THAT(store_.Get(digest, 100).error().text(), HasSubstr("was changed"));
  EXPECT_EQ(store_.Put("some bytes").value(), digest);
  EXPECT_TRUE(store_.Verify(digest).ok());
}

TEST_F(ObjectStoreTest, NamesThatAreNoDigestReachNoFile) {
  for (const std::string& name :
       {std::string(), std::string("../../etc/passwd"), std::string(64, 'A'),
        std::string(63, 'a') + "/", std::string(65, 'a')}) {
    EXPECT_FALSE(store_.PathOf(name).ok());
    EXPECT_FALSE(store_.Has(name));
    EXPECT_FALSE(store_.Get(name, 10).ok());
  }
  EXPECT_EQ(store_.Get(std::string(64, 'a'), 10).error().kind(), ErrorKind::kNotFound);
}

TEST_F(ObjectStoreTest, CollectRemovesWhatIsNotReachedAndOldEnough) {
  const std::string kept = store_.Put("kept").value(), gone = store_.Put("gone, 13 b").value();
  EXPECT_EQ(store_.Collect({kept}, {})->n_objects, 0U);
  const auto dry = store_.Collect({kept}, {.age_min = std::chrono::seconds(0), .dry_run = true});
  EXPECT_EQ(dry->n_objects, 1U);
  EXPECT_EQ(store_.All()->size(), 2U);
  const auto collected = store_.Collect({kept}, {.age_min = std::chrono::seconds(0)});
  ASSERT_TRUE(collected.ok());
  EXPECT_EQ(collected->n_objects, 1U);
  EXPECT_EQ(collected->bytes, 10U);
  EXPECT_THAT(store_.All().value(), ElementsAre(kept));
  EXPECT_FALSE(store_.Has(gone));
}

TEST_F(ObjectStoreTest, ManyWritersOfOneObjectAgree) {
  std::vector<std::thread> threads;
  const std::string bytes(200'000, 'q');
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) EXPECT_TRUE(store_.Put(bytes).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_.All()->size(), 1U);
  EXPECT_TRUE(store_.Verify(store_.All()->front()).ok());
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path() / "objects" / "aside"));
}

void MakeOld(const std::filesystem::path& path) {
  const timespec old[2] = {{::time(nullptr) - 7200, 0}, {::time(nullptr) - 7200, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
}

// A writer that finds its object there does not write it again; its record comes after.
TEST_F(ObjectStoreTest, WhatWasPutAgainAfterTheLogWasReadIsNotCollected) {
  const std::string again = store_.Put("again").value(), gone = store_.Put("gone").value();
  for (const std::string& digest : {again, gone}) MakeOld(store_.PathOf(digest).value());
  const std::set<std::string, std::less<>> reached;  // as the log was
  EXPECT_EQ(store_.Put("again").value(), again);
  EXPECT_EQ(store_.Collect(reached, {})->n_objects, 1U);
  EXPECT_TRUE(store_.Verify(again).ok());
  EXPECT_FALSE(store_.Has(gone));
}

// One process records old objects anew while another collects by what the log said before.
TEST_F(ObjectStoreTest, CollectingBesideAWriterRemovesNothingThatIsRecorded) {
  constexpr int kObjects = 15;
  const auto key = SigningKey::LoadOrCreate(scratch_.path() / "keys").value();
  const auto open = [&] { return Log::Open(scratch_.path() / "log", "tatara.test/log", key); };
  const auto bytes = [](int i) { return "object " + std::to_string(i) + std::string(20'000, '.'); };
  for (int i = 0; i <= kObjects; ++i) {  // the last is never recorded
    MakeOld(store_.PathOf(store_.Put(bytes(i)).value()).value());
  }
  ASSERT_TRUE(open().ok());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto log = open();
    for (int i = 0; log.ok() && i < kObjects; ++i) {
      const auto digest = store_.Put(bytes(i));
      if (!digest.ok() || !(*log)->Append(*digest).ok()) _exit(1);
    }
    _exit(log.ok() ? 0 : 1);
  }
  int status = 0;
  std::uint64_t n_removed = 0;
  for (bool done = false; !done;) {
    done = ::waitpid(child, &status, WNOHANG) == child;
    auto log = open();
    ASSERT_TRUE(log.ok());
    std::set<std::string, std::less<>> reached;
    for (std::uint64_t i = 0; i < (*log)->size(); ++i) reached.insert((*log)->Entry(i).value());
    n_removed += store_.Collect(reached, {})->n_objects;
    for (const std::string& digest : reached) ASSERT_TRUE(store_.Verify(digest).ok()) << digest;
  }
  EXPECT_EQ(status, 0);
  EXPECT_GE(n_removed, 1U);  // and those that the writer had not come to, which it wrote anew
  EXPECT_EQ(store_.All()->size(), static_cast<std::size_t>(kObjects));
}

TEST_F(ObjectStoreTest, AFullDiskRefusesTheObjectAndLeavesNothing) {
  const std::string kept = store_.Put("kept").value();
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* const handler = signal(SIGXFSZ, SIG_IGN);
  struct rlimit tight = before;
  tight.rlim_cur = 1500;  // as a disk that fills in the middle of the object
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const std::string large(4000, 'x');
  EXPECT_FALSE(store_.Put(large).ok());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_THAT(store_.All().value(), ElementsAre(kept));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path() / "objects" / "aside"));
  EXPECT_TRUE(store_.Put(large).ok());
}

}  // namespace
}  // namespace tatara::ledger
