#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "http_client.h"
#include "tatara/server/server.h"
#include "test_support.h"

namespace tatara::server {
namespace {

using test::HttpClient;

std::set<std::string> Matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

// A histogram is served as three names.
std::string Base(std::string name) {
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  }
  return name;
}

class MetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = Server::Start(service_, {.port = 0});
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
  }
  std::string Metrics() const { return HttpClient(server_->port()).AskGet("/metrics").body; }
  assistant::Service service_{assistant::ServiceOptions{}};
  std::unique_ptr<Server> server_;
};

TEST_F(MetricsTest, EveryMetricOfTheDashboardIsServed) {
  const auto path = std::filesystem::path(TATARA_SOURCE_DIR) / "deploy" / "grafana.json";
  const auto board = nlohmann::json::parse(test::ReadFile(path), nullptr, false);
  ASSERT_TRUE(board.is_object());
  std::string queries;
  for (const auto& panel : board["panels"]) {
    for (const auto& target : panel["targets"]) queries += target["expr"].get<std::string>() + "\n";
  }
  for (const auto& variable : board["templating"]["list"]) {
    queries += variable["query"].get<std::string>() + "\n";
  }
  const auto used = Matches(queries, std::regex("\\b(tatara_[a-z0-9_]+)"));
  EXPECT_GT(used.size(), 15u);
  HttpClient(server_->port()).AskGet("/health");
  const auto served = Matches(Metrics(), std::regex("# TYPE (tatara_[a-z0-9_]+)"));
  for (const std::string& name : used) EXPECT_TRUE(served.contains(Base(name))) << name;
}

TEST_F(MetricsTest, SpansAndReceiptsAreCounted) {
  EXPECT_NE(Metrics().find("tatara_trace_spans_total{result=\"failed\"} 0\n"), std::string::npos);
  EXPECT_NE(Metrics().find("tatara_receipts_durable_total 0\n"), std::string::npos);
  auto started = Server::Start(service_, {.port = 0, .span_counts = [] {
                                            return SpanCounts{.sent = 7, .dropped = 2, .failed = 1};
                                          }});
  ASSERT_TRUE(started.ok()) << started.error().text();
  server_ = std::move(started).value();
  for (const char* line :
       {"{result=\"sent\"} 7\n", "{result=\"dropped\"} 2\n", "{result=\"failed\"} 1\n"}) {
    EXPECT_NE(Metrics().find("tatara_trace_spans_total" + std::string(line)), std::string::npos);
  }
}

TEST_F(MetricsTest, RequestsAreCountedByRouteAndStatusNotByPath) {
  HttpClient client(server_->port());
  client.AskGet("/health");
  client.AskGet("/v1/receipts/one");
  client.AskGet("/v1/receipts/two");
  client.AskGet("/no/such/path");
  client.AskPost("/v1/chat/completions", "{}");
  const std::string text = Metrics();
  for (const char* line : {"{route=\"/health\",method=\"GET\",status=\"200\"} 1\n",
                           "{route=\"/v1/receipts/\",method=\"GET\",status=\"404\"} 2\n",
                           "{route=\"none\",method=\"GET\",status=\"404\"} 1\n",
                           "{route=\"/v1/chat/completions\",method=\"POST\",status=\"400\"} 1\n"}) {
    EXPECT_NE(text.find(std::string("tatara_http_requests_total") + line), std::string::npos)
        << line << text;
  }
  EXPECT_EQ(text.find("receipts/one"), std::string::npos);
  EXPECT_NE(text.find("tatara_http_connections "), std::string::npos);
}

}  // namespace
}  // namespace tatara::server
