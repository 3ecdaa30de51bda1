#include "child_process.h"

#include <gtest/gtest.h>

#include <chrono>

#include "test_store.h"

namespace tatara::weights {
namespace {

const auto kGoOn = [] { return true; };

TEST(ChildProcess, GivesStatusOutputAndEnvironment) {
  const test::ScratchDir dir;
  const auto status =
      RunChild({.argv = {"sh", "-c", "echo \"$GREETING\"; echo two >&2; cat; exit 7"},
                .environment = {{"GREETING", "a 'b' $c"}},
                .output = dir.path() / "out"},
               kGoOn);
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_EQ(*status, 7);
  EXPECT_EQ(test::ReadFile(dir.path() / "out"), "a 'b' $c\ntwo\n");
}

TEST(ChildProcess, ArgumentsReachNoShell) {
  const test::ScratchDir dir;
  ASSERT_TRUE(
      RunChild({.argv = {"printf", "%s", "$(id);`id`|&"}, .output = dir.path() / "out"}, kGoOn)
          .ok());
  EXPECT_EQ(test::ReadFile(dir.path() / "out"), "$(id);`id`|&");
}

TEST(ChildProcess, AProgramThatIsNotThereHasStatus127AndASignalledOneItsNumber) {
  const test::ScratchDir dir;
  EXPECT_EQ(*RunChild({.argv = {"/nowhere/program"}, .output = dir.path() / "out"}, kGoOn), 127);
  EXPECT_EQ(*RunChild({.argv = {"sh", "-c", "kill -9 $$"}, .output = dir.path() / "out"}, kGoOn),
            128 + 9);
  EXPECT_FALSE(RunChild({.argv = {"true"}, .output = dir.path() / "none" / "out"}, kGoOn).ok());
}

TEST(ChildProcess, AStopEndsItAndItsChildrenEvenWhenTheyDoNotListen) {
  const test::ScratchDir dir;
  const auto start = std::chrono::steady_clock::now();
  const auto status = RunChild(
      {.argv = {"sh", "-c", "trap '' TERM; (trap '' TERM; sleep 50) & sleep 50; sleep 50"},
       .output = dir.path() / "out"},
      [&] { return std::chrono::steady_clock::now() - start < std::chrono::milliseconds(200); });
  EXPECT_EQ(*status, 128 + 9);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace tatara::weights
