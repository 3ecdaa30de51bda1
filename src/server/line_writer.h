// Lines on their way to a descriptor: added by any thread without waiting for a disk, written by a
// thread of its own, many at a time. A line waits kGatherMs at most; one that is urgent does not.
// Thread safety: every function from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "tatara/base/error.h"

namespace tatara::server {

class LineWriter {
 public:
  static constexpr std::size_t kWaitingBytesMax = 4U << 20;  // further lines are dropped
  static constexpr std::size_t kWriteAtBytes = 64U << 10;    // so many do not wait for more
  static constexpr int kGatherMs = 20;

  // To standard error, until a file is opened.
  LineWriter();
  ~LineWriter();  // what waits is written
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Appends to a file of mode 0640, made where there is none; what waits goes to the one before.
  Result<> Open(const std::string& path);
  // `line` ends with '\n'. Where no room is left it is dropped; how many were, the first line after
  // them is told.
  std::uint64_t Add(std::string_view line, bool urgent);

 private:
  void Run();
  void WriteWaiting();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::string waiting_;
  std::uint64_t dropped_ = 0;
  bool asleep_ = false;  // until the next line
  bool hurry_ = false;
  bool stop_ = false;

  std::mutex file_mutex_;  // taken before mutex_
  int fd_ = 2;
  std::string writing_;
  std::thread thread_;
};

}  // namespace tatara::server
