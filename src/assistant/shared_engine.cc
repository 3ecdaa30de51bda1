#include "shared_engine.h"

namespace tatara::assistant {

Error SharedEngine::NoLogits() {
  return Refuse("logits of an engine that several callers share are not given");
}

Result<generate::RequestId> SharedEngine::Submit(generate::Request request,
                                                 generate::OnText on_text, Done done) {
  request.cache_scope = caller_.tenant;
  request.fair_key = caller_.key;
  auto job = std::make_shared<EngineJob>();
  job->key = caller_.key;
  // Of its own, since a text callback that says no ends this request and not the whole call.
  job->call = std::make_shared<RunningCall>();
  job->call->part_of = call_;
  job->deadline_ns = deadline_ns_;
  job->on_text = [call = job->call.get(), on_text = std::move(on_text)](std::size_t,
                                                                        std::string_view text) {
    if (on_text && !on_text(text)) call->Cancel();
  };
  job->on_done = [ended = ended_, done = std::move(done)](
                     std::size_t, Result<generate::Completion> result) mutable {
    const std::lock_guard lock(ended->mutex);
    ended->results.emplace_back(std::move(done), std::move(result));
    ended->wake.notify_one();
  };
  job->requests.push_back(std::move(request));
  TATARA_RETURN_IF_ERROR(owner_.Post(std::move(job)));
  ++outstanding_;
  return ++last_id_;
}

bool SharedEngine::Step() {
  if (outstanding_ == 0) return false;
  std::unique_lock lock(ended_->mutex);
  ended_->wake.wait(lock, [&] { return !ended_->results.empty(); });
  auto [done, result] = std::move(ended_->results.front());
  ended_->results.pop_front();
  lock.unlock();
  --outstanding_;
  // The deadline and the caller's leaving end it like a text callback's no, which is no error.
  if (result.ok() && result->finish_reason == generate::FinishReason::kCancelled &&
      call_->cancelled()) {
    result = MakeError(ErrorKind::kCancelled, "the caller cancelled the request");
  }
  done(std::move(result));
  return true;
}

}  // namespace tatara::assistant
