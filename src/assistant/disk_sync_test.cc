#include "disk_sync.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <memory>

#include "test_support.h"

namespace tatara::assistant {
namespace {

namespace fs = std::filesystem;

// What was asked of the kernel, in order. A round can be held up.
struct Watched {
  std::mutex mutex;
  std::vector<fs::path> synced;
  int file_systems = 0;
  bool works = true;
  std::shared_future<void> go;

  DiskSync::Calls calls() {
    return {.sync_one =
                [this](const fs::path& path) {
                  if (go.valid()) go.wait();
                  const std::lock_guard lock(mutex);
                  synced.push_back(path);
                  return works;
                },
            .sync_file_system =
                [this](const fs::path&) {
                  const std::lock_guard lock(mutex);
                  ++file_systems;
                  return works;
                }};
  }
};

TEST(DiskSync, AFileAndTheFoldersThatNameItAreSyncedFromTheInnermost) {
  Watched watched;
  {
    DiskSync sync("/home/receipts", watched.calls());
    sync.Add("/home/receipts/tenant/hour/one");
    sync.Add("/home/receipts/tenant/hour/two");
  }
  EXPECT_EQ(watched.synced,
            (std::vector<fs::path>{"/home/receipts/tenant/hour/one",
                                   "/home/receipts/tenant/hour/two", "/home/receipts/tenant/hour",
                                   "/home/receipts/tenant", "/home/receipts"}));
  EXPECT_EQ(watched.file_systems, 0);
}

TEST(DiskSync, ManyFilesCostOneCall) {
  Watched watched;
  {
    DiskSync sync("/r", watched.calls());
    for (int i = 0; i < 1000; ++i) sync.Add("/r/" + std::to_string(i));
  }
  EXPECT_LE(watched.file_systems, 2) << "the thread may have woken in between";
  EXPECT_GE(watched.file_systems, 1);
}

TEST(DiskSync, NothingWaitsForADiskThatStandsStill) {
  Watched watched;
  std::promise<void> go;
  watched.go = go.get_future().share();
  DiskSync sync("/r", watched.calls());
  for (int i = 0; i < 8; ++i) sync.Add("/r/" + std::to_string(i));
  EXPECT_EQ(sync.counts().durable, 0);
  go.set_value();
  while (sync.counts().durable < 8) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(DiskSync, WhatTheDiskDoesNotTakeIsCounted) {
  Watched watched;
  watched.works = false;
  DiskSync sync("/r", watched.calls());
  sync.Add("/r/1");
  while (sync.counts().failed < 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(sync.counts().durable, 0);
}

TEST(DiskSync, TheKernelTakesFilesFoldersAndWhatIsGone) {
  const test::ScratchDir scratch;
  std::ofstream(scratch.path() / "here") << "x";
  const auto calls = DiskSync::KernelCalls();
  EXPECT_TRUE(calls.sync_one(scratch.path() / "here"));
  EXPECT_TRUE(calls.sync_one(scratch.path()));
  EXPECT_TRUE(calls.sync_one(scratch.path() / "gone"));
  EXPECT_TRUE(calls.sync_file_system(scratch.path()));
  EXPECT_FALSE(calls.sync_one(scratch.path() / "here" / "below a file"));
}

}  // namespace
}  // namespace tatara::assistant
