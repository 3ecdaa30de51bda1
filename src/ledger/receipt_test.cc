#include "tatara/ledger/receipt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base64.h"
#include "envelope.h"
#include "tatara/base/files.h"
#include "test_support.h"

namespace tatara::ledger {
namespace {

using testing::HasSubstr;

NewReceipt Example() {
  return {.kind = "run",
          .created_utc = "2026-01-02T03:04:05Z",
          .fields = {{"model.sha256", R"("ab")"},
                     {"prompt", R"("名古屋 \"x\"\n")"},
                     {"token_ids", "[1, 2, 30000]"},
                     {"sampling", R"({"temperature": 0.1, "seed": 18446744073709551615})"},
                     {"output.text", R"("out")"},
                     {"output.token_ids", "[7,8,9]"}}};
}

class ReceiptTest : public testing::Test {
 protected:
  void SetUp() override {
    auto key = SigningKey::LoadOrCreate(home_.path());
    ASSERT_TRUE(key.ok()) << key.error().text();
    key_.emplace(std::move(key).value());
    trusted_ = LoadTrustedKeys(home_.path()).value();
  }
  std::string Make(const NewReceipt& receipt = Example()) {
    return MakeReceipt(receipt, *key_).value();
  }

  test::ScratchDir home_;
  std::optional<SigningKey> key_;
  std::vector<TrustedKey> trusted_;
};

TEST_F(ReceiptTest, AFreshReceiptIsRightAndItsKeyIsTrusted) {
  const VerifyReport report = VerifyReceipt(Make(), trusted_);
  EXPECT_TRUE(report.ok) << testing::PrintToString(report.problems);
  EXPECT_EQ(report.key_name, "this machine");
  ASSERT_TRUE(report.receipt);
  EXPECT_EQ(report.receipt->kind, "run");
  EXPECT_EQ(report.receipt->Find("token_ids")->json, "[1,2,30000]");
}

TEST_F(ReceiptTest, AnotherMachinesKeyIsRightButNotTrustedUntilItIsPutThere) {
  const test::ScratchDir other;
  const std::string bytes = Make();
  auto trusted = LoadTrustedKeys(other.path());
  ASSERT_TRUE(trusted.ok());
  VerifyReport report = VerifyReceipt(bytes, *trusted);
  EXPECT_TRUE(report.ok);
  EXPECT_EQ(report.key_name, "");
  std::filesystem::create_directories(other.path() / "keys" / "trusted");
  std::filesystem::copy_file(home_.path() / "keys" / "ed25519.pub",
                             other.path() / "keys" / "trusted" / "tokyo.pub");
  report = VerifyReceipt(bytes, LoadTrustedKeys(other.path()).value());
  EXPECT_EQ(report.key_name, "tokyo");
  std::ofstream(other.path() / "keys" / "trusted" / "bad.pub") << "nonsense";
  EXPECT_FALSE(LoadTrustedKeys(other.path()).ok());
}

TEST_F(ReceiptTest, EveryChangedByteIsFoundAndNamed) {
  const std::string bytes = Make();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const VerifyReport report = VerifyReceipt(changed, trusted_);
      ASSERT_FALSE(report.ok) << "byte " << i << ", bit " << bit;
      ASSERT_FALSE(report.first_difference.empty()) << "byte " << i << ", bit " << bit;
    }
  }
}

TEST_F(ReceiptTest, RemovedAddedAndRepeatedBytesAreFound) {
  const std::string bytes = Make();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(VerifyReceipt(bytes.substr(0, i), trusted_).ok);
    std::string longer = bytes;
    longer.insert(i, " ");
    EXPECT_FALSE(VerifyReceipt(longer, trusted_).ok) << i;
  }
  EXPECT_FALSE(VerifyReceipt(bytes + bytes, trusted_).ok);
  EXPECT_FALSE(VerifyReceipt(bytes + "\n", trusted_).ok);
}

// The same envelope around another payload, under the old signature.
std::string WithPayload(const std::string& receipt, const std::string& from,
                        const std::string& to) {
  const std::string key = "\"payload\":\"";
  const std::size_t start = receipt.find(key) + key.size(), end = receipt.find('"', start);
  std::string payload = *FromBase64(receipt.substr(start, end - start));
  const std::size_t at = payload.find(from);
  EXPECT_NE(at, std::string::npos);
  payload.replace(at, from.size(), to);
  return receipt.substr(0, start) + ToBase64(payload) + receipt.substr(end);
}

TEST_F(ReceiptTest, AChangedValueIsNamedByItsField) {
  const std::string bytes = Make();
  EXPECT_EQ(VerifyReceipt(WithPayload(bytes, "名古屋", "名古墓"), trusted_).first_difference,
            "prompt");
  EXPECT_EQ(VerifyReceipt(WithPayload(bytes, "30000", "30001"), trusted_).first_difference,
            "token_ids");
  EXPECT_EQ(VerifyReceipt(WithPayload(bytes, "\"run\"", "\"ask\""), trusted_).first_difference,
            "kind");
  EXPECT_EQ(
      VerifyReceipt(WithPayload(bytes, "output.text", "output.test"), trusted_).first_difference,
      "output.test");
  EXPECT_THAT(VerifyReceipt(WithPayload(bytes, "\"root\"", "\"boot\""), trusted_).first_difference,
              HasSubstr("boot"));
}

TEST_F(ReceiptTest, AForgersSignatureIsNotATrustedOne) {
  const test::ScratchDir other_home;
  // A forger with a key of his own can re-sign, but then the key is not the one that is trusted.
  auto forger = SigningKey::LoadOrCreate(other_home.path());
  ASSERT_TRUE(forger.ok());
  const VerifyReport forged = VerifyReceipt(MakeReceipt(Example(), *forger).value(), trusted_);
  EXPECT_TRUE(forged.ok);
  EXPECT_EQ(forged.key_name, "");
}

TEST_F(ReceiptTest, RedactedFieldsKeepTheirDigestsOnly) {
  NewReceipt receipt = Example();
  receipt.redacted = {"prompt", "output.text"};
  const std::string bytes = Make(receipt);
  const VerifyReport report = VerifyReceipt(bytes, trusted_);
  ASSERT_TRUE(report.ok);
  EXPECT_FALSE(report.receipt->Find("prompt")->json.has_value());
  const VerifyReport whole = VerifyReceipt(Make(), trusted_);
  EXPECT_EQ(report.receipt->Find("prompt")->sha256, whole.receipt->Find("prompt")->sha256);
}

TEST_F(ReceiptTest, HostileReceiptsAreRefusedWithAName) {
  const std::string deep(100'000, '[');
  for (
      const std::string& bytes :
      {std::string(), std::string("{}"), std::string("null"), std::string("[]"), deep,
       "{\"payload\":" + deep, std::string("\xff\xfe"),
       std::string(R"({"payloadType":1,"payload":2,"signatures":[]})"),
       std::string(
           R"({"payloadType":"a","payload":"b","signatures":[{"keyid":"","publicKey":"","sig":""}]})")}) {
    const VerifyReport report = VerifyReceipt(bytes, trusted_);
    EXPECT_FALSE(report.ok);
    EXPECT_FALSE(report.first_difference.empty());
  }
  NewReceipt receipt = Example();
  receipt.fields.emplace_back("prompt", "1");
  EXPECT_FALSE(MakeReceipt(receipt, *key_).ok());
  receipt = Example();
  receipt.fields.emplace_back("x", "{broken");
  EXPECT_FALSE(MakeReceipt(receipt, *key_).ok());
}

TEST_F(ReceiptTest, ValuesThatNestWithoutEndAreRefusedWhereverTheyComeFrom) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  NewReceipt receipt = Example();
  receipt.fields.emplace_back("x", deep);
  const auto made = MakeReceipt(receipt, *key_);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().text(), HasSubstr("field 'x'"));
}

// A payload signed by a trusted key may still not be a receipt of this program.
TEST_F(ReceiptTest, PayloadsThatAreNoReceiptsAreRefusedByName) {
  const std::string digest(64, 'a');
  const std::string field = R"({"sha256":")" + digest + R"(","value":"x"})";
  const auto with_fields = [&](const std::string& fields) {
    return R"({"receipt":1,"root":")" + digest + R"(","fields":{)" + fields + "}}";
  };
  const std::string three =
      R"("kind":)" + field + R"(,"created":)" + field + R"(,"program":)" + field;
  const struct {
    std::string payload;
    std::string named;
  } kCases[] = {
      {"", "byte"},
      {"[]", "expected an object"},
      {"{}", "version 1"},
      {R"({"receipt":2})", "version 1"},
      {R"({"receipt":1,"extra":0})", "'extra'"},
      {R"({"receipt":1,"root":"x"})", "root"},
      {R"({"receipt":1,"root":")" + digest + R"("})", "no fields"},
      {with_fields(""), "'kind'"},
      {with_fields(R"("kind":)" + field), "'created'"},
      {with_fields(three), "'contract'"},
      {with_fields(three + R"(,"contract":)" + field), "'contract'"},
      {with_fields(three + R"(,"contract":{"sha256":")" + digest + R"(","value":4294967297})"),
       "'contract'"},
      {with_fields(three + R"(,"contract":{"sha256":")" + digest + R"(","value":1},"q":{}))"), ""},
      {with_fields(three + R"(,"contract":{"sha256":")" + digest + R"(","value":1},"q":{})"),
       "'q'"},
      {with_fields(three + R"(,"contract":{"sha256":")" + digest + R"("})"), "'contract'"},
      {" " + with_fields(three + R"(,"contract":{"sha256":")" + digest + R"(","value":1})"),
       "byte 0"},
  };
  for (const auto& hostile : kCases) {
    const VerifyReport report = VerifyReceipt(Seal(hostile.payload, *key_), trusted_);
    EXPECT_FALSE(report.ok) << hostile.payload;
    EXPECT_THAT(report.first_difference, HasSubstr(hostile.named)) << hostile.payload;
    EXPECT_FALSE(report.first_difference.empty()) << hostile.payload;
  }
}

TEST_F(ReceiptTest, WhatSaysWhatAReceiptIsCannotBeRedacted) {
  NewReceipt receipt = Example();
  receipt.redacted = {"kind"};
  EXPECT_FALSE(MakeReceipt(receipt, *key_).ok());
}

class FixedReplayer : public Replayer {
 public:
  explicit FixedReplayer(RecordFields outputs) : outputs_(std::move(outputs)) {}
  std::string_view kind() const override { return "run"; }
  Result<RecordFields> Replay(const RecordFields& record) override {
    seen = record;
    return outputs_;
  }
  RecordFields seen;

 private:
  RecordFields outputs_;
};

TEST_F(ReceiptTest, AReplayIsComparedFieldByField) {
  const Receipt receipt = *VerifyReceipt(Make(), trusted_).receipt;
  FixedReplayer equal(RecordFields{{"output.text", R"("out")"}, {"output.token_ids", "[7, 8, 9]"}});
  const auto same = ReplayReceipt(receipt, {}, equal);
  ASSERT_TRUE(same.ok()) << same.error().text();
  EXPECT_TRUE(same->ok);
  EXPECT_TRUE(equal.seen.contains("prompt"));
  EXPECT_FALSE(equal.seen.contains("output.text"));

  FixedReplayer other(RecordFields{{"output.text", R"("out")"}, {"output.token_ids", "[7,8,10]"}});
  const auto different = ReplayReceipt(receipt, {}, other);
  ASSERT_TRUE(different.ok());
  EXPECT_FALSE(different->ok);
  EXPECT_EQ(different->first_difference, "output.token_ids: at index 2: recorded 9, now 10");

  FixedReplayer silent(RecordFields{{"output.text", R"("out")"}});
  EXPECT_FALSE(ReplayReceipt(receipt, {}, silent)->ok);
}

TEST_F(ReceiptTest, OriginalsOfARedactedReceiptAreCheckedAgainstTheirDigests) {
  NewReceipt redacted = Example();
  redacted.redacted = {"prompt", "output.text"};
  const Receipt receipt = *VerifyReceipt(Make(redacted), trusted_).receipt;
  FixedReplayer replayer(
      RecordFields{{"output.text", R"("out")"}, {"output.token_ids", "[7,8,9]"}});
  const auto right = ReplayReceipt(receipt, {{"prompt", R"("名古屋 \"x\"\n")"}}, replayer);
  ASSERT_TRUE(right.ok()) << right.error().text();
  EXPECT_TRUE(right->ok);
  EXPECT_TRUE(replayer.seen.contains("prompt"));
  EXPECT_FALSE(ReplayReceipt(receipt, {{"prompt", R"("other")"}}, replayer).ok());
  EXPECT_FALSE(ReplayReceipt(receipt, {{"no such", R"("x")"}}, replayer).ok());
  FixedReplayer changed(RecordFields{{"output.text", R"("oui")"}, {"output.token_ids", "[7,8,9]"}});
  EXPECT_THAT(ReplayReceipt(receipt, {}, changed)->first_difference, HasSubstr("output.text"));
}

TEST(SigningKey, IsPrivateKeptAndTheSameForAllWhoMakeItAtOnce) {
  const test::ScratchDir home;
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto key = SigningKey::LoadOrCreate(home.path());
      std::ofstream(home.path() / ("id" + std::to_string(i)))
          << (key.ok() ? KeyId(key->public_key()) : "failed");
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  const std::string id = KeyId(SigningKey::LoadOrCreate(home.path())->public_key());
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(test::ReadFile(home.path() / ("id" + std::to_string(i))), id);
  const auto mode = std::filesystem::status(home.path() / "keys" / "ed25519").permissions();
  EXPECT_EQ(static_cast<unsigned>(mode) & 0777u, 0600u);
  std::filesystem::permissions(home.path() / "keys" / "ed25519", std::filesystem::perms(0644));
  EXPECT_FALSE(SigningKey::LoadOrCreate(home.path()).ok());
}

TEST(SigningKey, APublicFileOfAnotherKeyIsWrittenAgain) {
  const test::ScratchDir home, other;
  const std::string id = KeyId(SigningKey::LoadOrCreate(home.path())->public_key());
  ASSERT_TRUE(SigningKey::LoadOrCreate(other.path()).ok());
  const auto overwrite = std::filesystem::copy_options::overwrite_existing;
  std::filesystem::copy_file(other.path() / "keys/ed25519.pub", home.path() / "keys/ed25519.pub",
                             overwrite);
  ASSERT_TRUE(SigningKey::LoadOrCreate(home.path()).ok());
  EXPECT_EQ(KeyId(LoadTrustedKeys(home.path())->front().key), id);
}

TEST(SigningKey, AFolderMadeByHandBecomesPrivate) {
  const test::ScratchDir home;
  std::filesystem::create_directories(home.path() / "keys" / "trusted");
  ASSERT_TRUE(SigningKey::LoadOrCreate(home.path()).ok());
  const auto mode = std::filesystem::status(home.path() / "keys").permissions();
  EXPECT_EQ(static_cast<unsigned>(mode) & 0777u, 0700u);
}

TEST(SigningKey, FoldersThatCannotBeReadAreErrorsNotExceptions) {
  const test::ScratchDir home;
  std::ofstream(home.path() / "keys") << "a file where a folder should be";
  EXPECT_FALSE(SigningKey::LoadOrCreate(home.path()).ok());
  EXPECT_FALSE(LoadTrustedKeys(home.path()).ok());
}

}  // namespace
}  // namespace tatara::ledger
