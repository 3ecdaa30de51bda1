#include "engine_thread.h"

#include <algorithm>

namespace tatara::assistant {

EngineThread::EngineThread(std::unique_ptr<generate::Engine> engine, QueueShares::Limits limits,
                           const Clock& clock)
    : engine_(std::move(engine)),
      clock_(clock),
      counters_(engine_->counters()),
      shares_(limits),
      thread_([this] { Loop(); }) {}

Result<> EngineThread::Post(std::shared_ptr<EngineJob> job) {
  const int n = static_cast<int>(job->requests.size());
  const std::lock_guard lock(mutex_);
  if (stop_) return MakeError(ErrorKind::kUnavailable, "the service is stopping");
  TATARA_RETURN_IF_ERROR(shares_.Enter(job->key, n));
  posted_.push_back(std::move(job));
  wake_.notify_one();
  return Ok{};
}

void EngineThread::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

generate::EngineCounters EngineThread::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

int EngineThread::outstanding() const {
  const std::lock_guard lock(mutex_);
  return shares_.taken();
}

void EngineThread::Run(const std::function<void(generate::Engine& engine)>& task) {
  std::unique_lock lock(mutex_);
  if (!ended_) {
    tasks_.push_back(&task);
    const std::uint64_t turn = ++n_tasks_;
    wake_.notify_one();
    tasks_done_.wait(lock, [&] { return n_tasks_done_ >= turn; });
    return;
  }
  task(*engine_);
}

void EngineThread::RunTasks(std::unique_lock<std::mutex>& lock) {
  std::vector<const std::function<void(generate::Engine & engine)>*> tasks;
  tasks.swap(tasks_);
  if (tasks.empty()) return;
  lock.unlock();
  for (const auto* task : tasks) (*task)(*engine_);
  lock.lock();
  n_tasks_done_ += tasks.size();
  counters_ = engine_->counters();
  tasks_done_.notify_all();
}

void EngineThread::Loop() {
  while (TakeJobs()) {
    engine_->Step();
    std::erase_if(active_, [](const auto& active) { return active->left == 0; });
    const std::lock_guard lock(mutex_);
    counters_ = engine_->counters();
  }
  std::unique_lock lock(mutex_);
  while (!tasks_.empty()) RunTasks(lock);
  ended_ = true;
}

bool EngineThread::TakeJobs() {
  std::vector<std::shared_ptr<EngineJob>> jobs;
  bool stop = false;
  {
    std::unique_lock lock(mutex_);
    if (active_.empty()) {
      wake_.wait(lock, [&] { return stop_ || !posted_.empty() || !tasks_.empty(); });
    }
    RunTasks(lock);
    jobs.swap(posted_);
    stop = stop_;
  }
  for (auto& job : jobs) Begin(std::move(job));
  CancelWhatShouldEnd(stop);
  return !stop || !active_.empty();
}

void EngineThread::Begin(std::shared_ptr<EngineJob> job) {
  auto active = std::make_shared<Active>();
  active->job = std::move(job);
  active->left = active->job->requests.size();
  for (std::size_t i = 0; i < active->job->requests.size(); ++i) {
    generate::Request& request = active->job->requests[i];
    if (active->job->on_logprob && request.top_logprobs >= 0) {
      request.on_logprob = [job = active->job.get(), i](const generate::TokenLogprob& logprob) {
        job->on_logprob(i, logprob);
      };
    }
    auto submitted = engine_->Submit(
        std::move(request),
        [job = active->job.get(), i](std::string_view text) {
          job->on_text(i, text);
          return !job->call->cancelled();
        },
        // The engine keeps this until it is called, and what it keeps keeps the job.
        [this, active, i](Result<generate::Completion> result) {
          End(*active, i, std::move(result));
        });
    if (submitted.ok()) {
      active->ids.push_back(*submitted);
    } else {
      End(*active, i, submitted.error());
    }
  }
  if (active->left > 0) active_.push_back(std::move(active));
}

void EngineThread::CancelWhatShouldEnd(bool all) {
  for (const auto& active : active_) {
    if (active->cancelled) continue;
    const EngineJob& job = *active->job;
    if (!all && !job.call->cancelled() && clock_.MonotonicNanoseconds() < job.deadline_ns) continue;
    active->cancelled = true;
    for (const generate::RequestId id : active->ids) engine_->Cancel(id);
  }
}

void EngineThread::End(Active& active, std::size_t request, Result<generate::Completion> result) {
  --active.left;
  {
    const std::lock_guard lock(mutex_);
    shares_.Leave(active.job->key, 1);
  }
  active.job->on_done(request, std::move(result));
}

}  // namespace tatara::assistant
