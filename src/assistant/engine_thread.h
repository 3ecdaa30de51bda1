// The thread that owns one engine: jobs come over a queue, all that run are stepped together.
// Thread safety: any thread; callbacks of jobs run on the owner thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "queue_shares.h"
#include "tatara/assistant/service.h"
#include "tatara/base/clock.h"
#include "tatara/generate/engine.h"

namespace tatara::assistant {

struct EngineJob {
  std::shared_ptr<RunningCall> call;
  std::string key;  // Caller::key, whose share of the queue it takes
  std::vector<generate::Request> requests;
  std::int64_t deadline_ns = 0;  // of the clock's monotonic time
  std::function<void(std::size_t request, std::string_view text)> on_text;
  // Before the text that the token completes; only for requests with log-probabilities.
  std::function<void(std::size_t request, const generate::TokenLogprob& logprob)> on_logprob;
  // Once for each request. After the deadline a request ends as FinishReason::kCancelled.
  std::function<void(std::size_t request, Result<generate::Completion>)> on_done;
};

class EngineThread {
 public:
  // `limits` of requests in the engine and on the way to it.
  EngineThread(std::unique_ptr<generate::Engine> engine, QueueShares::Limits limits,
               const Clock& clock);
  ~EngineThread() { Stop(); }

  // kUnavailable where the queue has no places for this key, and after Stop.
  Result<> Post(std::shared_ptr<EngineJob> job);
  // Runs `task` on the owner thread between two steps, and returns when it is done. After Stop, at
  // once.
  void Run(const std::function<void(generate::Engine& engine)>& task);
  // Cancels everything and ends the thread.
  void Stop();

  // Of the engine only what never changes: facts, tokenizer, template, rendering.
  const generate::Engine& engine() const { return *engine_; }
  generate::EngineCounters counters() const;
  int outstanding() const;

 private:
  struct Active {
    std::shared_ptr<EngineJob> job;
    std::vector<generate::RequestId> ids;
    std::size_t left = 0;
    bool cancelled = false;
  };
  void Loop();
  void RunTasks(std::unique_lock<std::mutex>& lock);
  bool TakeJobs();  // false: stopped and nothing is left
  void Begin(std::shared_ptr<EngineJob> job);
  void CancelWhatShouldEnd(bool all);
  void End(Active& active, std::size_t request, Result<generate::Completion> result);

  const std::unique_ptr<generate::Engine> engine_;
  const Clock& clock_;
  std::vector<std::shared_ptr<Active>> active_;  // the owner thread's

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable tasks_done_;
  std::vector<std::shared_ptr<EngineJob>> posted_;
  std::vector<const std::function<void(generate::Engine& engine)>*> tasks_;
  std::uint64_t n_tasks_ = 0, n_tasks_done_ = 0;
  bool ended_ = false;  // the thread
  generate::EngineCounters counters_;
  QueueShares shares_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tatara::assistant
