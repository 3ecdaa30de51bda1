// A server over real models in this process, and what tests ask of one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "http_client.h"
#include "tatara/assistant/service.h"
#include "tatara/generate/embedder.h"
#include "tatara/generate/engine.h"
#include "tatara/server/server.h"
#include "test_support.h"

namespace tatara::test {

using OrderedJson = nlohmann::ordered_json;

class Serving {
 public:
  // Served as "tiny".
  explicit Serving(const std::filesystem::path& model, assistant::ServiceOptions options = {},
                   std::int64_t context_tokens = 1024) {
    options.home = home_.path();
    service_ = std::make_unique<assistant::Service>(options);
    auto engine = generate::Engine::Open(
        model.string(), {.n_threads = 2, .context_tokens = context_tokens, .sequences_max = 8});
    EXPECT_TRUE(engine.ok()) << engine.error().text();
    EXPECT_TRUE(service_->AddEngine("tiny", std::string(64, '0'), std::move(engine).value()).ok());
  }
  // Before the first request; served as "vectors".
  void AddEmbedder(const std::filesystem::path& model) {
    auto embedder = generate::Embedder::Open(model.string(), {.n_threads = 2});
    ASSERT_TRUE(embedder.ok()) << embedder.error().text();
    ASSERT_TRUE(
        service_->AddEmbedder("vectors", std::string(64, '1'), std::move(embedder).value()).ok());
  }
  ~Serving() {
    if (server_) server_->Stop();
    service_->Stop();
  }
  int port() {
    const std::lock_guard lock(starting_);  // the first requests may come together
    if (!server_) {
      auto server = server::Server::Start(
          *service_, {.port = 0, .history_folder = home_.path() / "history", .drain_seconds = 1});
      EXPECT_TRUE(server.ok()) << server.error().text();
      server_ = std::move(server).value();
    }
    return server_->port();
  }
  assistant::ModelState State() const { return service_->States().front(); }
  OrderedJson Ask(std::string_view path, const OrderedJson& body) {
    const HttpAnswer answer = HttpClient(port()).AskPost(path, body.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    return OrderedJson::parse(answer.body, nullptr, false);
  }
  const std::filesystem::path& home() const { return home_.path(); }

 private:
  std::mutex starting_;
  ScratchDir home_;
  std::unique_ptr<assistant::Service> service_;
  std::unique_ptr<server::Server> server_;
};

// Events' texts, without "[DONE]", which must be the last.
inline std::vector<OrderedJson> Events(const std::string& body) {
  std::vector<OrderedJson> events;
  bool done = false;
  for (std::size_t at = 0, end; (end = body.find("\n\n", at)) != std::string::npos; at = end + 2) {
    const std::string event = body.substr(at, end - at);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_FALSE(done);
    done = event == "data: [DONE]";
    if (!done) events.push_back(OrderedJson::parse(event.substr(6), nullptr, false));
  }
  EXPECT_TRUE(done);
  return events;
}

}  // namespace tatara::test
