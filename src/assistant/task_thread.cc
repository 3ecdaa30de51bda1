#include "task_thread.h"

namespace tatara::assistant {

TaskThread::TaskThread(int tasks_max, int n_threads)
    : shares_({.places = tasks_max, .together = n_threads}) {
  for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { Run(); });
}

Result<> TaskThread::Post(std::string key, std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stop_) return MakeError(ErrorKind::kUnavailable, "the service is stopping");
  TATARA_RETURN_IF_ERROR(shares_.Enter(key, 1));
  tasks_.push_back({std::move(key), std::move(task)});
  wake_.notify_one();
  return Ok{};
}

void TaskThread::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

std::size_t TaskThread::waiting() const {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

void TaskThread::Run() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front().run);
      shares_.Leave(tasks_.front().key, 1);
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace tatara::assistant
