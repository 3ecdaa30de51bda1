// A model's template that never ends: its requests are refused in bounded time, and nobody else
// waits for them.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "http_client.h"
#include "scripted_engine.h"
#include "tatara/assistant/service.h"
#include "tatara/server/server.h"
#include "test_support.h"

namespace tatara {
namespace {

using test::HttpAnswer;
using test::HttpClient;

// A token for each byte.
class Bytes final : public text::Tokenizer {
 public:
  std::vector<std::int32_t> Encode(std::string_view text,
                                   const text::EncodeOptions&) const override {
    return {text.begin(), text.end()};
  }
  std::string TokenBytes(std::int32_t id, bool) const override {
    return std::string(1, static_cast<char>(id));
  }
  std::string Decode(std::span<const std::int32_t> ids, bool) const override {
    return {ids.begin(), ids.end()};
  }
  std::int32_t vocabulary_size() const override { return 256; }
  bool IsControl(std::int32_t) const override { return false; }
  bool EndsGeneration(std::int32_t) const override { return false; }
  std::int32_t start_id() const override { return -1; }
  std::int32_t end_id() const override { return -1; }
  std::string TokenText(std::int32_t id) const override { return TokenBytes(id, true); }
};

class RenderingEngine final : public test::ScriptedEngine {
 public:
  explicit RenderingEngine(std::string source)
      : ScriptedEngine(std::make_unique<Bytes>(), std::move(source), {'o', 'k'}) {}
  Result<std::string> RenderChat(std::string_view messages, std::string_view) const override {
    return chat_template()->Render("{\"messages\":" + std::string(messages) + "}");
  }
};

constexpr const char* kEndless =
    "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a + b %}{% endfor %}"
    "{% endfor %}";

TEST(TemplateLoop, EndsInARefusalAndNobodyElseWaits) {
  assistant::Service service{assistant::ServiceOptions{}};
  ASSERT_TRUE(service.AddEngine("loops", "", std::make_unique<RenderingEngine>(kEndless)).ok());
  ASSERT_TRUE(service
                  .AddEngine("speaks", "",
                             std::make_unique<RenderingEngine>("{{ messages[0]['content'] }}"))
                  .ok());
  auto server = server::Server::Start(service, {.port = 0, .n_threads = 2});
  ASSERT_TRUE(server.ok()) << server.error().text();
  const int port = (*server)->port();

  const auto begun = std::chrono::steady_clock::now();
  constexpr int kLoops = 4;
  std::atomic<int> asked = 0, ended = 0;
  std::vector<std::thread> threads;
  for (const char* path :
       {"/v1/chat/completions", "/v1/chat/completions", "/apply-template", "/tokenize"}) {
    threads.emplace_back([&, path] {
      HttpClient client(port);
      client.Send(HttpClient::Post(
          path, R"({"model":"loops","messages":[{"role":"user","content":"x"}]})"));
      ++asked;
      const HttpAnswer answer = client.Read();
      ++ended;
      EXPECT_EQ(answer.status, 400) << path << answer.body;
      EXPECT_NE(answer.body.find("steps"), std::string::npos) << answer.body;
    });
  }
  while (asked < kLoops) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // they are being rendered
  // On new connections: they are shared out among the server's threads.
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(HttpClient(port).AskGet("/health").status, 200);
    EXPECT_EQ(HttpClient(port).AskPost("/tokenize", R"({"model":"loops","content":"x"})").status,
              200);
  }
  EXPECT_LT(ended, kLoops) << "the loops were over before anybody could wait for them";
  const auto healthy = std::chrono::steady_clock::now();
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begun;
  const std::chrono::duration<double> first = healthy - begun;
  EXPECT_LT(first.count(), 0.8 * all.count());
  EXPECT_LT(all.count(), 120);  // with one busy core

  const HttpAnswer whole = HttpClient(port).AskPost(
      "/v1/chat/completions", R"({"model":"speaks","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(whole.status, 200) << whole.body;
  EXPECT_NE(whole.body.find("ok"), std::string::npos);
  (*server)->Stop();
  service.Stop();
}

TEST(TemplateLoop, AClientThatLeavesTakesItsTurnWithIt) {
  assistant::Service service{assistant::ServiceOptions{}};
  ASSERT_TRUE(service.AddEngine("loops", "", std::make_unique<RenderingEngine>(kEndless)).ok());
  std::atomic<int> left = 0, ended = 0;
  auto server = server::Server::Start(
      service, {.port = 0, .on_request = [&](const server::RequestFacts& facts) {
                  left += facts.status == server::kStatusLeft;
                  ++ended;
                }});
  ASSERT_TRUE(server.ok()) << server.error().text();
  constexpr int kLeave = 12;
  for (int i = 0; i < kLeave; ++i) {
    HttpClient client((*server)->port());
    client.Send(HttpClient::Post(
        "/apply-template", R"({"model":"loops","messages":[{"role":"user","content":"x"}]})"));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // Those that had begun are rendered to their end, the others not at all.
  const auto begun = std::chrono::steady_clock::now();
  while (ended < kLeave && std::chrono::steady_clock::now() - begun < std::chrono::minutes(2)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(ended, kLeave);
  EXPECT_GE(left, kLeave / 2);
  (*server)->Stop();
  service.Stop();
}

}  // namespace
}  // namespace tatara
