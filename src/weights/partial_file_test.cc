#include "partial_file.h"

#include <gtest/gtest.h>

#include "test_store.h"

namespace tatara::weights {
namespace {

using test::Bytes;
namespace fs = std::filesystem;

class PartialFileTest : public testing::Test {
 protected:
  // A partial file of `source` with 1,000 committed bytes and 500 more.
  void Leave(const std::string& source) {
    auto file = PartialFile::Open(path_, source);
    ASSERT_TRUE(file.ok()) << file.error().text();
    ASSERT_TRUE(file->Restart().ok());
    ASSERT_TRUE(file->Append(AsBytes(Bytes(1000))).ok());
    ASSERT_TRUE(file->Commit(2, "\"v\"").ok());
    ASSERT_TRUE(file->Append(AsBytes(Bytes(500, 2))).ok());
  }
  std::uint64_t SizeAfterReopening(const std::string& source) {
    auto file = PartialFile::Open(path_, source);
    EXPECT_TRUE(file.ok());
    return file->size();
  }
  test::ScratchDir dir_;
  fs::path path_ = dir_.path() / "f.partial";
};

TEST_F(PartialFileTest, KeepsItsBytesAndKnowsWhichAreCommitted) {
  Leave("a");
  auto file = PartialFile::Open(path_, "a");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), 1500u);
  EXPECT_EQ(file->parts_done(), 2);
  EXPECT_EQ(file->validator(), "\"v\"");
  ASSERT_TRUE(file->CutToJournal().ok());
  EXPECT_EQ(file->size(), 1000u);
  ASSERT_TRUE(file->Append(AsBytes("x")).ok());
  EXPECT_EQ(test::ReadFile(path_), Bytes(1000) + "x");
}

TEST_F(PartialFileTest, AnotherSourceOrADamagedJournalMeansFromTheStart) {
  const fs::path journal = path_.string() + ".json";
  Leave("a");
  EXPECT_EQ(SizeAfterReopening("b"), 0u);
  Leave("a");
  const std::string good = test::ReadFile(journal);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[1]"), with("1000", "-1"),
        with("1000", "99999"), with("1000", "\"1000\""),
        with("\"parts_done\":2", "\"parts_done\":99999999999"),
        with("\"source\":\"a\"", "\"source\":5")}) {
    Leave("a");
    test::WriteFile(journal, bad);
    EXPECT_EQ(SizeAfterReopening("a"), 0u) << bad;
  }
  Leave("a");
  fs::remove(journal);
  EXPECT_EQ(SizeAfterReopening("a"), 0u);
  Leave("a");
  EXPECT_EQ(SizeAfterReopening("a"), 1500u);
}

TEST_F(PartialFileTest, DiscardLeavesNothingAndReleaseTheBytesOnly) {
  Leave("a");
  PartialFile::Open(path_, "a")->Release();
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), {}), 1);
  EXPECT_EQ(fs::file_size(path_), 1500u);
  Leave("a");
  PartialFile::Open(path_, "a")->Discard();
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), {}), 0);
}

}  // namespace
}  // namespace tatara::weights
