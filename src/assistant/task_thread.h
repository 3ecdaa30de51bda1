// Threads, mostly one, that run tasks in the order they came, within a bound.
// Thread safety: any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "queue_shares.h"
#include "tatara/base/error.h"

namespace tatara::assistant {

class TaskThread {
 public:
  explicit TaskThread(int tasks_max, int n_threads = 1);
  ~TaskThread() { Stop(); }
  // `key` as Caller::key. kUnavailable where the queue has no place for it, and after Stop.
  Result<> Post(std::string key, std::function<void()> task);
  void Stop();  // runs what is queued first
  std::size_t waiting() const;

 private:
  struct Task {
    std::string key;
    std::function<void()> run;
  };
  void Run();
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  QueueShares shares_;
  std::deque<Task> tasks_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tatara::assistant
