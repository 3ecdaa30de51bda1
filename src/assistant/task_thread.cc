#include "task_thread.h"

namespace tatara::assistant {

TaskThread::TaskThread(std::size_t tasks_max, int n_threads) : tasks_max_(tasks_max) {
  for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { Run(); });
}

Result<> TaskThread::Post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stop_) return MakeError(ErrorKind::kUnavailable, "the service is stopping");
  if (tasks_.size() >= tasks_max_) {
    return MakeError(ErrorKind::kUnavailable, "{0} requests wait for this model; try again later",
                     tasks_.size());
  }
  tasks_.push_back(std::move(task));
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
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace tatara::assistant
