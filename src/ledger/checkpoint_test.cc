// Signed notes and checkpoints: the published example of the form, our own there and back, and
// every changed byte.

#include "tatara/ledger/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_support.h"

namespace tatara::ledger {
namespace {

using ::testing::HasSubstr;

// The example of the Go package golang.org/x/mod/sumdb/note, which the form comes from.
constexpr const char* kKnownKey =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr const char* kKnownNote =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xE2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/"
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() : key_(SigningKey::LoadOrCreate(scratch_.path()).value()) {}
  NoteKey Public(const std::string& name = "tatara.test/log") const {
    return {name, key_.public_key()};
  }
  test::ScratchDir scratch_;
  SigningKey key_;
};

TEST_F(CheckpointTest, ThePublishedExampleIsRight) {
  const auto key = ParseNoteKey(kKnownKey);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->name, "PeterNeumann");
  EXPECT_EQ(NoteKeyText(*key), kKnownKey);
  const auto text = OpenNote(kKnownNote, *key, "note");
  ASSERT_TRUE(text.ok()) << text.error().text();
  EXPECT_THAT(*text, HasSubstr("what your problem is.\n"));
}

TEST_F(CheckpointTest, ACheckpointGoesThereAndBack) {
  Checkpoint checkpoint{.origin = "tatara.test/log", .size = 1234567, .root = Sha256Of({})};
  const std::string note = SignNote(CheckpointText(checkpoint), "tatara.test/log", key_);
  const auto text = OpenNote(note, Public(), "checkpoint");
  ASSERT_TRUE(text.ok()) << text.error().text();
  const auto back = ParseCheckpoint(*text, "checkpoint");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->origin, checkpoint.origin);
  EXPECT_EQ(back->size, checkpoint.size);
  EXPECT_EQ(back->root, checkpoint.root);
  const auto key = ParseNoteKey(NoteKeyText(Public()));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->key, key_.public_key());
}

TEST_F(CheckpointTest, EveryChangedBitIsFound) {
  const std::string note =
      SignNote("tatara.test/log\n7\n" + std::string(43, 'A') + "=\n", "tatara.test/log", key_);
  ASSERT_TRUE(OpenNote(note, Public(), "note").ok());
  for (std::size_t i = 0; i < note.size() * 8; ++i) {
    std::string changed = note;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << i % 8));
    EXPECT_FALSE(OpenNote(changed, Public(), "note").ok()) << i;
  }
  for (std::size_t i = 0; i < note.size(); ++i) {
    EXPECT_FALSE(OpenNote(note.substr(0, i), Public(), "note").ok()) << i;
  }
}

TEST_F(CheckpointTest, SignaturesOfOthersAreNeitherEnoughNorInTheWay) {
  const std::string text = "log\n1\n";
  const test::ScratchDir elsewhere;
  const auto other = SigningKey::LoadOrCreate(elsewhere.path()).value();
  const std::string theirs = SignNote(text, "other", other), ours = SignNote(text, "ours", key_);
  EXPECT_THAT(OpenNote(theirs, Public("ours"), "n").error().text(),
              HasSubstr("not signed by 'ours'"));
  const std::string both = theirs + ours.substr(ours.find("\n\n") + 2);
  const auto opened = OpenNote(both, Public("ours"), "n");
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ(*opened, text);
  // Another's key under our name does not count as ours.
  EXPECT_FALSE(OpenNote(SignNote(text, "ours", other), Public("ours"), "n").ok());
}

TEST_F(CheckpointTest, WhatIsNoCheckpointIsRefused) {
  const std::string root = std::string(43, 'A') + "=\n";
  EXPECT_TRUE(ParseCheckpoint("log\n0\n" + root, "c").ok());
  EXPECT_TRUE(ParseCheckpoint("log\n18446744073709551615\n" + root + "more\n", "c").ok());
  for (const std::string& text :
       {std::string(), "log\n" + root, "\n1\n" + root, "log\n01\n" + root, "log\n-1\n" + root,
        "log\n1 \n" + root, "log\n18446744073709551616\n" + root, std::string("log\n1\nAAAA\n"),
        "log\n1\n" + root.substr(0, 44), std::string("log\n\n") + root}) {
    EXPECT_FALSE(ParseCheckpoint(text, "c").ok()) << text;
  }
  for (const char* text : {"", "a+b", "a+c74f20a3+AAAA",
                           "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"}) {
    EXPECT_FALSE(ParseNoteKey(text).ok()) << text;
  }
}

}  // namespace
}  // namespace tatara::ledger
