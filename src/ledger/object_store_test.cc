// Objects: there whole under their digest or not at all, changed ones found, unreached ones
// collected.

#include "tatara/ledger/object_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
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

}  // namespace
}  // namespace tatara::ledger
