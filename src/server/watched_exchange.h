// An exchange that notes how its request went, and tells of it once when the answer is whole or the
// client has left. Thread safety: as Exchange; `facts` within the exchange's turn.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

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
    inner_->OnGone([weak = weak_from_this(), gone = std::move(gone)] {
      if (const auto self = weak.lock()) self->End(kStatusLeft);
      gone();
    });
  }
  void Post(std::function<void()> function) override { inner_->Post(std::move(function)); }

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
};

}  // namespace tatara::server
