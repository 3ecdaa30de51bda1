// An exchange that notes how its request went, and tells of it once when the answer is whole or the
// client has left. Its turn can be given to another thread for a while.
// Thread safety: as Exchange; `facts` within the exchange's turn.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http.h"
#include "tatara/base/clock.h"
#include "tatara/server/request_facts.h"

namespace tatara::server {

class WatchedExchange final : public Exchange,
                              public std::enable_shared_from_this<WatchedExchange> {
 public:
  WatchedExchange(std::shared_ptr<Exchange> inner, RequestObserver ended)
      : inner_(std::move(inner)), ended_(std::move(ended)) {
    begun_ns_ = SystemClock().MonotonicNanoseconds();
    facts->begun_unix_ns = UnixNanoseconds();
    facts->method = inner_->request().method;
    facts->peer = inner_->request().peer;
    facts->traceparent = inner_->request().Header("traceparent").substr(0, kTraceparentBytesMax);
  }
  ~WatchedExchange() override { End(kStatusLeft); }

  const HttpRequest& request() const override { return inner_->request(); }
  void Send(HttpResponse response) override {
    FirstByte();
    End(streaming_ ? 200 : response.status);
    inner_->Send(std::move(response));
  }
  void BeginStream(std::string content_type, Headers headers) override {
    streaming_ = facts->streamed = true;
    inner_->BeginStream(std::move(content_type), std::move(headers));
  }
  void Write(std::string bytes) override {
    FirstByte();
    inner_->Write(std::move(bytes));
  }
  void EndStream() override {
    End(200);
    inner_->EndStream();
  }
  void OnGone(std::function<void()> gone) override {
    inner_->OnGone([weak = weak_from_this(), gone = std::move(gone)]() mutable {
      const auto self = weak.lock();
      if (self == nullptr) return gone();
      self->left_ = true;
      self->InTurn([self = self.get(), gone = std::move(gone)] {
        self->End(kStatusLeft);
        gone();
      });
    });
  }
  void Post(std::function<void()> function) override {
    const std::lock_guard lock(mutex_);
    if (away_) {
      kept_.push_back(std::move(function));
    } else {
      inner_->Post(std::move(function));
    }
  }

  // From here to TakeBack the turn is that of the thread that calls TakeBack: what is posted, and
  // the client's leaving, wait for it. False where it was given away before.
  bool GiveAway() {
    const std::lock_guard lock(mutex_);
    if (away_) return false;
    away_ = true;
    return true;
  }
  void TakeBack() {
    const std::lock_guard lock(mutex_);
    away_ = false;
    for (auto& function : kept_) inner_->Post(std::move(function));
    kept_.clear();
  }
  bool left() const { return left_; }

  const std::shared_ptr<RequestFacts> facts = std::make_shared<RequestFacts>();

 private:
  static constexpr std::size_t kTraceparentBytesMax = 64;
  static std::int64_t UnixNanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  double Seconds() const {
    return static_cast<double>(SystemClock().MonotonicNanoseconds() - begun_ns_) / 1e9;
  }
  // Runs what came in the connection's turn, now or after TakeBack.
  void InTurn(std::function<void()> function) {
    {
      const std::lock_guard lock(mutex_);
      if (away_) return kept_.push_back([self = shared_from_this(), function] { function(); });
    }
    function();
  }
  void FirstByte() {
    if (facts->first_byte_seconds < 0) facts->first_byte_seconds = Seconds();
  }
  void End(int status) {
    if (over_.exchange(true)) return;
    facts->status = status;
    facts->seconds = Seconds();
    if (ended_) ended_(*facts);
  }

  const std::shared_ptr<Exchange> inner_;
  const RequestObserver ended_;
  std::int64_t begun_ns_ = 0;
  bool streaming_ = false;
  std::atomic<bool> over_{false};
  std::atomic<bool> left_{false};
  std::mutex mutex_;
  bool away_ = false;
  std::vector<std::function<void()>> kept_;  // while it is away
};

}  // namespace tatara::server
