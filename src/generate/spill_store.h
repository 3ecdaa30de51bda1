// Pages of prefixes that the memory had no room for, kept on disk within a bound.
//
// ROOT/IDENTITY/SCOPE/KEY.page: a folder for each thing that computes other bits, in it one for
// each scope (tenant), both named by digests, mode 0700. An engine uses the folder of its identity
// alone (a lock file tells); what others left there before is removed, oldest first, where the
// bound asks for room. Files that do not fit are removed and never read into a page.
//
// The stepping thread never waits for the disk but where it says so: saving copies the page and
// returns, loading is asked for and taken when it is there. All files are read and written by one
// thread of this store. A disk that is full or broken loses pages, nothing else.
// Thread safety: any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "page_cache.h"
#include "spill_file.h"
#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/files.h"

namespace tatara::generate {

struct SpillOptions {
  std::filesystem::path root;
  std::int64_t bytes_max = 0;
  std::int64_t keep_seconds = 0;  // pages that nobody used for so long are removed; 0: never
  Digest identity{};              // of everything that decides a page's bytes besides its key
  std::size_t page_bytes = 0;
  // Replaced by tests.
  std::function<bool(const std::filesystem::path&, const SpillFileId&, ByteSpan)> write =
      WriteSpillFile;
  const Clock* clock = &SystemClock();  // of UnixSeconds
};

struct SpillCounters {
  std::int64_t written = 0;
  std::int64_t dropped = 0;   // not saved: too many waited to be written, or the write failed
  std::int64_t rejected = 0;  // files that were broken or of something else
  std::int64_t removed = 0;   // to stay within the bound, or too old
  std::int64_t pages = 0;     // as of now
  std::int64_t bytes = 0;
};

class SpillStore {
 public:
  static constexpr std::size_t kQueueBytesMax = 64U << 20;  // copied and not yet written
  static constexpr std::size_t kLoadedMax = 32;             // pages loaded and not yet taken

  // Makes the folders. kUnavailable where another process uses the identity's folder.
  static Result<std::unique_ptr<SpillStore>> Open(SpillOptions options);
  ~SpillStore();  // writes what was saved

  // Keeps a copy of the page, unless it is kept already. Waits for room among those that are to be
  // written for `wait_ms`, then drops it.
  void Save(const Digest& scope, const PageKey& key, ByteSpan page, int wait_ms = 0);
  enum class Found { kNo, kLoading, kLoaded };
  // Where the page is; begins to load it.
  Found Ask(const PageKey& key);
  // Copies a loaded page out. False where it is not loaded (any more).
  bool Take(const PageKey& key, std::span<std::byte> page);
  // Until a page was loaded or found broken, at most wait_ms.
  void WaitForLoad(int wait_ms);
  // Removes all pages of a scope, those of other identities too.
  void Forget(const Digest& scope);
  // Until nothing is to be written or loaded.
  void WaitIdle();
  SpillCounters counters() const;

 private:
  using Buffer = std::vector<std::byte>;
  struct Entry {
    Digest scope;
    std::list<PageKey>::iterator used_at;
    std::shared_ptr<const Buffer> bytes;  // to be written, or loaded
    std::int64_t used_unix = 0;
    bool on_disk = false;
    bool loading = false;
  };
  struct OtherFolder {
    std::filesystem::path path;
    std::int64_t bytes = 0;
    std::filesystem::file_time_type used{};
  };

  SpillStore(SpillOptions options, FileLock lock);
  void Scan();
  void ScanScope(const std::filesystem::path& folder, const Digest& scope);
  void ScanOthers();
  std::filesystem::path PathOf(const Digest& scope, const PageKey& key) const;
  std::int64_t FileBytes() const {
    return static_cast<std::int64_t>(kSpillHeaderBytes + options_.page_bytes);
  }
  void Run();
  void WriteNext(std::unique_lock<std::mutex>& lock);
  void LoadNext(std::unique_lock<std::mutex>& lock);
  void KeepWithinBound(std::unique_lock<std::mutex>& lock);
  void RemoveOld(std::unique_lock<std::mutex>& lock);
  void Use(Entry& entry);
  bool RemoveOldest(std::unique_lock<std::mutex>& lock);
  void Erase(const PageKey& key);

  const SpillOptions options_;
  const std::filesystem::path folder_;
  const FileLock folder_lock_;

  mutable std::mutex mutex_;
  std::condition_variable work_, done_;
  std::unordered_map<PageKey, Entry, PageKeyHash> entries_;
  std::list<PageKey> by_use_;  // least recently used first
  std::deque<PageKey> to_write_, to_load_, loaded_;
  std::size_t queued_bytes_ = 0;
  std::int64_t n_on_disk_ = 0;
  std::vector<OtherFolder> others_;  // oldest last
  std::int64_t others_bytes_ = 0;
  SpillCounters counters_;
  std::uint64_t n_loads_ended_ = 0;
  bool busy_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tatara::generate
