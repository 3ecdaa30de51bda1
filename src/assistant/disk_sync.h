// Makes files that were written durable, soon after and on a thread of its own: what was told to it
// is on the disk, with its name, kSyncMs later plus the time that the disk takes.
//
// The cost is bound whatever comes: one round at a time, kSyncMs apart; up to kFilesApart files are
// synced one by one with the folders that name them, beyond that the whole file system is, once
// (syncfs(2)), since each fsync costs a commit of its journal.
// Thread safety: every function from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace tatara::assistant {

class DiskSync {
 public:
  static constexpr int kSyncMs = 200;
  static constexpr std::size_t kFilesApart = 16;

  struct Calls {  // of the kernel, for tests; errno is not asked for
    std::function<bool(const std::filesystem::path& file_or_folder)> sync_one;
    std::function<bool(const std::filesystem::path& folder)> sync_file_system;
  };
  static Calls KernelCalls();

  // Folders up to `root` are synced with the files in them.
  explicit DiskSync(std::filesystem::path root, Calls calls = KernelCalls());
  ~DiskSync();  // what is left is synced
  DiskSync(const DiskSync&) = delete;
  DiskSync& operator=(const DiskSync&) = delete;

  // A file below the root that is whole and has its name. One that is gone by its turn is no
  // failure.
  void Add(std::filesystem::path file);

  struct Counts {
    std::int64_t durable = 0;  // files
    std::int64_t failed = 0;   // that the disk did not take
  };
  Counts counts() const;

 private:
  void Run();
  bool Sync(const std::vector<std::filesystem::path>& files) const;

  const std::filesystem::path root_;
  const Calls calls_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::filesystem::path> waiting_;
  Counts counts_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tatara::assistant
