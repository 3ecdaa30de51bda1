#include "tatara/govern/api_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "test_support.h"

namespace tatara::govern {
namespace {

class FakeClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return seconds; }
  std::int64_t MonotonicNanoseconds() const override { return seconds * 1'000'000'000; }
  std::atomic<std::int64_t> seconds{1'000'000};
};

class ApiKeysTest : public testing::Test {
 protected:
  std::unique_ptr<ApiKeys> Open() {
    auto keys = ApiKeys::Open(scratch_.path(), clock_);
    EXPECT_TRUE(keys.ok()) << keys.error().text();
    return std::move(keys).value();
  }
  std::filesystem::path file() const { return scratch_.path() / "keys" / "api-keys.json"; }
  static unsigned Mode(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 0777;
  }
  void Overwrite(const std::string& text) const {
    std::ofstream(file(), std::ios::binary) << text;
    chmod(file().c_str(), 0600);
  }
  test::ScratchDir scratch_;
  FakeClock clock_;
};

TEST_F(ApiKeysTest, AKeyPassesWholeAndNothingElseDoes) {
  const auto keys = Open();
  const NewApiKey made = keys->Add("line 3", "factory").value();
  EXPECT_EQ(made.secret.size(), std::string_view("tatara-").size() + 64);
  const auto found = keys->Check(made.secret);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, made.key.id);
  EXPECT_EQ(found->tenant, "factory");
  std::string changed = made.secret;
  changed.back() = changed.back() == '0' ? '1' : '0';
  for (const std::string& wrong :
       {std::string(), made.secret.substr(0, made.secret.size() - 1), made.secret + "0", changed,
        made.secret + std::string(1, '\0'), made.key.id, std::string(1 << 20, 'x')}) {
    EXPECT_FALSE(keys->Check(wrong)) << wrong.size();
  }
}

TEST_F(ApiKeysTest, TheFileIsPrivateAndHoldsNoSecret) {
  const auto keys = Open();
  EXPECT_FALSE(std::filesystem::exists(file()));
  const std::string secret = keys->Add("a", "default").value().secret;
  EXPECT_EQ(Mode(file()), 0600u);
  EXPECT_EQ(Mode(file().parent_path()), 0700u);
  EXPECT_EQ(test::ReadFile(file()).find(secret.substr(7)), std::string::npos);
  chmod(file().c_str(), 0640);
  EXPECT_FALSE(ApiKeys::Open(scratch_.path(), clock_).ok());
}

TEST_F(ApiKeysTest, ARevokedKeyStopsHereAndInEveryOtherProcess) {
  const auto server = Open(), command = Open();
  const NewApiKey made = command->Add("a", "default").value();
  clock_.seconds += 2;  // the server looks once a second
  EXPECT_TRUE(server->Check(made.secret));
  EXPECT_TRUE(command->Revoke("a").ok());
  EXPECT_FALSE(command->Check(made.secret));
  clock_.seconds += 2;
  EXPECT_FALSE(server->Check(made.secret));
  ASSERT_EQ(server->List().size(), 1u);
  EXPECT_EQ(server->List()[0].revoked_unix, clock_.seconds - 2);
  // The name is free again, the id is not.
  EXPECT_TRUE(command->Add("a", "default").ok());
  EXPECT_EQ(command->Revoke(made.key.id).value().revoked_unix, clock_.seconds - 2);
  EXPECT_EQ(command->Revoke("nobody").error().kind(), ErrorKind::kNotFound);
}

TEST_F(ApiKeysTest, TimesOfUseAreWrittenWithoutLosingAnotherProcessesKeys) {
  const auto server = Open(), command = Open();
  const NewApiKey first = server->Add("a", "default").value();
  clock_.seconds += 5;
  EXPECT_TRUE(server->Check(first.secret));
  EXPECT_TRUE(command->Add("b", "default").ok());
  EXPECT_TRUE(server->SaveLastUsed().ok());
  const auto list = Open()->List();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].last_used_unix, clock_.seconds);
  EXPECT_EQ(list[1].last_used_unix, 0);
}

TEST_F(ApiKeysTest, ManyWritersLoseNoKey) {
  constexpr int kThreads = 4, kEach = 8;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto keys = Open();
      for (int i = 0; i < kEach; ++i) {
        EXPECT_TRUE(keys->Add(std::to_string(t) + "/" + std::to_string(i), "default").ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> ids;
  for (const ApiKey& key : Open()->List()) ids.insert(key.id);
  EXPECT_EQ(ids.size(), std::size_t{kThreads * kEach});
}

TEST_F(ApiKeysTest, TheFirstKeyIsMadeOnce) {
  const auto keys = Open();
  const auto first = keys->AddFirst();
  ASSERT_TRUE(first.ok() && *first);
  const auto again = keys->AddFirst();
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(*again);
  EXPECT_TRUE(keys->Revoke("first").ok());
  EXPECT_TRUE(keys->AddFirst().value());
}

TEST_F(ApiKeysTest, AKeyOfTheOlderFormIsTakenOver) {
  std::filesystem::create_directories(scratch_.path() / "keys");
  const auto older = scratch_.path() / "keys" / "api";
  std::ofstream(older) << "tatara-0123\n";
  EXPECT_TRUE(Open()->Check("tatara-0123"));
  EXPECT_FALSE(std::filesystem::exists(older));
  EXPECT_TRUE(Open()->Check("tatara-0123"));
  EXPECT_EQ(Open()->List().size(), 1u);
}

TEST_F(ApiKeysTest, NamesAndTenantsAreChecked) {
  const auto keys = Open();
  for (const std::string& name : {std::string(), std::string(101, 'a'), std::string("a\nb"),
                                  std::string("\xff"), std::string("\xe3\x81")}) {
    EXPECT_FALSE(keys->Add(name, "default").ok()) << name;
  }
  for (const char* tenant : {"", "A", "../x", ".x", "a/b", "a b"}) {
    EXPECT_FALSE(keys->Add("a", tenant).ok()) << tenant;
  }
  EXPECT_TRUE(keys->Add("経理 \"quoted\"", "d-1_2.3").ok());
  EXPECT_FALSE(keys->Add("経理 \"quoted\"", "default").ok());
}

TEST_F(ApiKeysTest, AFileThatIsNotOneOfTheseIsRefusedAndAServerKeepsWhatItKnew) {
  const auto keys = Open();
  const NewApiKey made = keys->Add("a", "default").value();
  const std::string right = test::ReadFile(file());
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::string text = right;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::vector<std::string> broken = {
      "",
      "{}",
      "[1]",
      std::string(100'000, '['),
      right.substr(0, right.size() / 2),
      replaced("\"version\": 1", "\"version\": 2"),
      replaced("\"created\": 1000000", "\"created\": -1"),
      replaced("\"created\": 1000000", "\"created\": 18446744073709551615"),
      replaced("\"created\": 1000000", "\"created\": 1.5"),
      replaced("\"tenant\": \"default\"", "\"tenant\": \"../x\""),
      replaced("\"hash\"", "\"hasch\""),
      replaced(made.key.id, "zzzzzzzzzzzz")};
  for (const std::string& text : broken) {
    Overwrite(text);
    EXPECT_FALSE(ApiKeys::Open(scratch_.path(), clock_).ok()) << text;
    clock_.seconds += 2;
    EXPECT_TRUE(keys->Check(made.secret)) << text;
    EXPECT_FALSE(keys->Add("b", "default").ok()) << text;
  }
  Overwrite(right);
  clock_.seconds += 2;
  EXPECT_TRUE(keys->Check(made.secret));
}

}  // namespace
}  // namespace tatara::govern
