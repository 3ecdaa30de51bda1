// An exchange without a connection: what an endpoint answers stays here. Posted functions run in
// Run, as a server's threads would run them.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "http.h"

namespace tatara::server {

class FakeExchange final : public Exchange {
 public:
  explicit FakeExchange(HttpRequest request) : request_(std::move(request)) {}
  static std::shared_ptr<FakeExchange> Of(std::string method, std::string path,
                                          std::string body = {}) {
    return std::make_shared<FakeExchange>(
        HttpRequest{.method = std::move(method),
                    .path = std::move(path),
                    .headers = {{"host", "127.0.0.1"}, {"content-type", "application/json"}},
                    .body = std::move(body)});
  }

  const HttpRequest& request() const override { return request_; }
  void Send(HttpResponse response) override {
    End([&] { answer = std::move(response); });
  }
  void BeginStream(std::string content_type, Headers headers) override {
    answer = {.content_type = std::move(content_type), .headers = std::move(headers)};
  }
  void Write(std::string bytes) override { answer.body += bytes; }
  void EndStream() override {
    End([] {});
  }
  void OnGone(std::function<void()> gone) override { gone_ = std::move(gone); }
  void Post(std::function<void()> function) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
    wake_.notify_one();
  }

  // Runs what is posted until the answer is whole.
  void Run() {
    while (true) {
      std::function<void()> function;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return ended_ || !posted_.empty(); });
        if (posted_.empty()) return;
        function = std::move(posted_.front());
        posted_.pop_front();
      }
      function();
    }
  }
  void Leave() {
    if (gone_) gone_();
  }

  HttpResponse answer;
  int n_answers = 0;

 private:
  template <typename F>
  void End(F end) {
    const std::lock_guard lock(mutex_);
    end();
    ++n_answers;
    ended_ = true;
    wake_.notify_one();
  }
  const HttpRequest request_;
  std::function<void()> gone_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> posted_;
  bool ended_ = false;
};

}  // namespace tatara::server
