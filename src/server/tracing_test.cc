#include "tatara/server/tracing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "http.h"

namespace tatara::server {
namespace {

using Json = nlohmann::ordered_json;

// Takes what is posted to /v1/traces; answers with `status`, or not at all while `held`.
class Collector {
 public:
  Collector() {
    auto started = HttpServer::Start(
        {.port = 0, .drain_seconds = 0},
        [this](std::shared_ptr<Exchange> exchange) {
          const std::lock_guard lock(mutex_);
          bodies_.push_back(exchange->request().body);
          if (held) {
            kept_.push_back(exchange);
            return;
          }
          exchange->Send({.status = status, .body = "{}"});
        },
        [](int status_code, std::string_view) { return HttpResponse{.status = status_code}; });
    EXPECT_TRUE(started.ok());
    server_ = std::move(started).value();
  }
  ~Collector() {
    kept_.clear();
    server_->Stop();
  }
  std::string endpoint() const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + "/v1/traces";
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return bodies_.size();
  }
  std::vector<Json> Spans() const {
    const std::lock_guard lock(mutex_);
    std::vector<Json> spans;
    for (const std::string& body : bodies_) {
      const Json json = Json::parse(body, nullptr, false);
      for (const Json& span : json["resourceSpans"][0]["scopeSpans"][0]["spans"]) {
        spans.push_back(span);
      }
    }
    return spans;
  }
  std::atomic<int> status{200};
  std::atomic<bool> held{false};

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> bodies_;
  std::vector<std::shared_ptr<Exchange>> kept_;
  std::unique_ptr<HttpServer> server_;
};

template <typename F>
bool Eventually(F condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

RequestFacts Chat() {
  return {.id = "r1",
          .method = "POST",
          .route = "/v1/chat/completions",
          .peer = "127.0.0.1",
          .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          .caller = {.tenant = "factory", .key = "k1"},
          .status = 200,
          .begun_unix_ns = 1'700'000'000'000'000'000,
          .seconds = 0.5,
          .body = "what people wrote",
          .model = "tiny",
          .answer_id = "chatcmpl-1",
          .prompt_tokens = 7,
          .completion_tokens = 3,
          .finish_reasons = {"stop", "length"},
          .samples = true,
          .temperature = 0.5,
          .tokens_max = 16};
}

TEST(Tracing, ARequestIsASpanWithTheConventionsAttributes) {
  Collector collector;
  auto tracer = Tracer::Start({.endpoint = collector.endpoint()});
  ASSERT_TRUE(tracer.ok());
  (*tracer)->Request(Chat());
  ASSERT_TRUE(Eventually([&] { return collector.size() > 0; }));
  const Json span = collector.Spans().front();
  EXPECT_EQ(span["name"], "chat tiny");
  EXPECT_EQ(span["kind"], 2);
  EXPECT_EQ(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(span["parentSpanId"], "b7ad6b7169203331");
  EXPECT_EQ(span["startTimeUnixNano"], "1700000000000000000");
  EXPECT_EQ(span["endTimeUnixNano"], "1700000000500000000");
  std::map<std::string, Json> attributes;
  for (const Json& entry : span["attributes"]) {
    attributes[entry["key"].get<std::string>()] = entry["value"];
  }
  EXPECT_EQ(attributes["gen_ai.operation.name"]["stringValue"], "chat");
  EXPECT_EQ(attributes["gen_ai.provider.name"]["stringValue"], "tatara");
  EXPECT_EQ(attributes["gen_ai.request.model"]["stringValue"], "tiny");
  EXPECT_EQ(attributes["gen_ai.response.id"]["stringValue"], "chatcmpl-1");
  EXPECT_EQ(attributes["gen_ai.request.temperature"]["doubleValue"], 0.5);
  EXPECT_EQ(attributes["gen_ai.request.max_tokens"]["intValue"], "16");
  EXPECT_EQ(attributes["gen_ai.usage.input_tokens"]["intValue"], "7");
  EXPECT_EQ(attributes["gen_ai.usage.output_tokens"]["intValue"], "3");
  EXPECT_EQ(attributes["gen_ai.response.finish_reasons"]["arrayValue"]["values"].size(), 2u);
  EXPECT_EQ(attributes["http.response.status_code"]["intValue"], "200");
  EXPECT_EQ(span.dump().find("people"), std::string::npos);
}

TEST(Tracing, ATraceThatIsNotOneBeginsAnew) {
  Collector collector;
  auto tracer = Tracer::Start({.endpoint = collector.endpoint()});
  ASSERT_TRUE(tracer.ok());
  for (const char* parent : {"", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                             "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "99-x",
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\"}]"}) {
    RequestFacts facts = Chat();
    facts.traceparent = parent;
    (*tracer)->Request(facts);
  }
  RequestFacts quiet = Chat();
  quiet.route = "/health";
  (*tracer)->Request(quiet);
  ASSERT_TRUE(Eventually([&] { return (*tracer)->counts().sent == 5; }));
  const auto spans = collector.Spans();
  ASSERT_EQ(spans.size(), 5u);
  for (const Json& span : spans) {
    EXPECT_EQ(span["traceId"].get<std::string>().size(), 32u);
    EXPECT_NE(span["traceId"], std::string(32, '0'));
  }
}

TEST(Tracing, ACollectorThatDoesNotAnswerCostsRequestsNothing) {
  Collector collector;
  collector.held = true;
  auto tracer = Tracer::Start({.endpoint = collector.endpoint(), .queue_max = 10});
  ASSERT_TRUE(tracer.ok());
  (*tracer)->Request(Chat());
  ASSERT_TRUE(Eventually([&] { return collector.size() == 1; }));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) (*tracer)->Request(Chat());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ((*tracer)->counts().dropped, 990u);
}

TEST(Tracing, ASpanThatWasNotTakenIsSentAgain) {
  Collector collector;
  collector.status = 503;
  auto tracer = Tracer::Start({.endpoint = collector.endpoint()});
  ASSERT_TRUE(tracer.ok());
  (*tracer)->Request(Chat());
  ASSERT_TRUE(Eventually([&] { return collector.size() == 1; }));
  collector.status = 200;
  ASSERT_TRUE(Eventually([&] { return (*tracer)->counts().sent == 1; }));
  EXPECT_EQ(collector.size(), 2u);
}

}  // namespace
}  // namespace tatara::server
