#include "line_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

namespace tatara::server {

LineWriter::LineWriter() : fd_(STDERR_FILENO), thread_([this] { Run(); }) {}

LineWriter::~LineWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

Result<> LineWriter::Open(const std::string& path) {
  if (path.empty()) return Ok{};
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return ErrnoError("{0}: cannot open: {1}", path);
  WriteWaiting();
  const std::lock_guard lock(file_mutex_);
  if (fd_ > STDERR_FILENO) ::close(fd_);
  fd_ = fd;
  return Ok{};
}

std::uint64_t LineWriter::Add(std::string_view line, bool urgent) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() + line.size() > kWaitingBytesMax) {
    ++dropped_;
    return 0;
  }
  waiting_ += line;
  hurry_ = hurry_ || urgent || waiting_.size() >= kWriteAtBytes;
  // One call of the kernel for many lines: a thread that gathers is left alone.
  if (std::exchange(asleep_, false) || hurry_) wake_.notify_one();
  return std::exchange(dropped_, 0);
}

void LineWriter::WriteWaiting() {
  const std::lock_guard file_lock(file_mutex_);
  {
    const std::lock_guard lock(mutex_);
    writing_.clear();
    writing_.swap(waiting_);
    hurry_ = false;
  }
  for (std::string_view rest = writing_; !rest.empty();) {
    const auto n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nowhere to say it
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

void LineWriter::Run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      asleep_ = waiting_.empty();
      wake_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
      asleep_ = false;
      wake_.wait_for(lock, std::chrono::milliseconds(kGatherMs), [&] { return stop_ || hurry_; });
      if (stop_ && waiting_.empty()) return;
    }
    WriteWaiting();
  }
}

}  // namespace tatara::server
