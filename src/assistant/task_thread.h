// Threads, mostly one, that run tasks in the order they came, within a bound.
// Thread safety: any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::assistant {

class TaskThread {
 public:
  explicit TaskThread(std::size_t tasks_max, int n_threads = 1);
  ~TaskThread() { Stop(); }
  // kUnavailable where the queue is full, and after Stop.
  Result<> Post(std::function<void()> task);
  void Stop();  // runs what is queued first
  std::size_t waiting() const;

 private:
  void Run();
  const std::size_t tasks_max_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tatara::assistant
