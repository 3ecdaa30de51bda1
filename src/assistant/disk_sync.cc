#include "disk_sync.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace tatara::assistant {

namespace fs = std::filesystem;

namespace {

template <typename Call>
bool WithOpened(const fs::path& path, Call call) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT;
  const bool done = call(fd) == 0;
  ::close(fd);
  return done;
}

}  // namespace

DiskSync::Calls DiskSync::KernelCalls() {
  return {.sync_one = [](const fs::path& path) { return WithOpened(path, ::fsync); },
          .sync_file_system = [](const fs::path& path) { return WithOpened(path, ::syncfs); }};
}

DiskSync::DiskSync(fs::path root, Calls calls)
    : root_(std::move(root)), calls_(std::move(calls)), thread_([this] { Run(); }) {}

DiskSync::~DiskSync() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

void DiskSync::Add(fs::path file) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(file));
  if (waiting_.size() == 1) wake_.notify_one();
}

DiskSync::Counts DiskSync::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

bool DiskSync::Sync(const std::vector<fs::path>& files) const {
  if (files.size() > kFilesApart) return calls_.sync_file_system(root_);
  // From the innermost: a folder's name counts once what it names is there.
  bool synced = std::ranges::all_of(files, calls_.sync_one);
  std::set<fs::path> folders;
  for (const fs::path& file : files) folders.insert(file.parent_path());
  while (!folders.empty()) {
    synced = std::ranges::all_of(folders, calls_.sync_one) && synced;
    std::set<fs::path> next;
    for (const fs::path& folder : folders) {
      if (folder != root_ && folder.has_relative_path()) next.insert(folder.parent_path());
    }
    folders = std::move(next);
  }
  return synced;
}

void DiskSync::Run() {
  for (;;) {
    std::vector<fs::path> files;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      wake_.wait_for(lock, std::chrono::milliseconds(kSyncMs), [&] { return stop_; });
      files.swap(waiting_);
    }
    const bool synced = Sync(files);
    const std::lock_guard lock(mutex_);
    (synced ? counts_.durable : counts_.failed) += static_cast<std::int64_t>(files.size());
  }
}

}  // namespace tatara::assistant
