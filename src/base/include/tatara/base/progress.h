// Where long work reports to, and how it learns that it should stop.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace tatara {

// Units are the caller's: bytes, files, tokens. Implementations may be called often and from the
// working thread only.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // `total` 0 when unknown.
  virtual void Report(std::string_view what, std::uint64_t done, std::uint64_t total) = 0;
};

// A flag that a signal handler or another thread sets.
class StopFlag {
 public:
  void Set() { flag_.store(true, std::memory_order_relaxed); }
  void Clear() { flag_.store(false, std::memory_order_relaxed); }
  bool IsSet() const { return flag_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_{false};
};

}  // namespace tatara
