#include <gtest/gtest.h>

#include <set>

#include "api.h"
#include "http_client.h"
#include "json_schema.h"
#include "openapi.h"
#include "tatara/server/server.h"
#include "test_support.h"

namespace tatara::server {
namespace {

using test::HttpAnswer;
using test::HttpClient;

class Conversations : public testing::Test {
 protected:
  void SetUp() override {
    auto started = Server::Start(service_, {.port = 0, .history_folder = home_.path() / "history"});
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
    client_ = std::make_unique<HttpClient>(server_->port());
  }
  HttpAnswer Ask(const std::string& method, const std::string& path,
                 const std::string& headers = "") {
    client_->Send(method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n");
    return client_->Read();
  }
  Json Get(const std::string& path) { return Json::parse(Ask("GET", path).body, nullptr, false); }
  // The answer of a 200, held against the document.
  Json Post(const std::string& path, const std::string& described, const Json& body) {
    const HttpAnswer answer = client_->AskPost(path, Dump(body));
    EXPECT_EQ(answer.status, 200) << answer.body;
    Json json = Json::parse(answer.body, nullptr, false);
    const auto wrong = check_.Check(json, document_["paths"][described]["post"]["responses"]["200"]
                                                   ["content"]["application/json"]["schema"]);
    EXPECT_EQ(wrong, std::nullopt);
    return json;
  }
  int Status(const std::string& path, const Json& body) {
    return client_->AskPost(path, Dump(body)).status;
  }
  std::string Make(const std::string& title) {
    return Post("/v1/conversations", "/v1/conversations", {{"title", title}})["id"];
  }
  test::ScratchDir home_;
  Json document_ = OpenApiDocument();
  test::SchemaCheck check_{document_};
  assistant::Service service_{assistant::ServiceOptions{}};
  std::unique_ptr<Server> server_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(Conversations, AreKeptFoundExportedAndDeleted) {
  const std::string id = Make("点検 <b>");
  const std::string at = "/v1/conversations/" + id;
  const std::string described = "/v1/conversations/{id}/messages";
  Post(at + "/messages", described,
       {{"id", "q"}, {"parent", nullptr}, {"role", "user"}, {"content", "主軸の温度は？"}});
  Post(at + "/messages", described,
       {{"id", "a"},
        {"parent", "q"},
        {"role", "assistant"},
        {"content", "**80 ℃**"},
        {"model", "m"},
        {"receipt", "chatcmpl-1"},
        {"details", {{"seed", 9007199254740993}}}});
  const Json whole = Get(at);
  EXPECT_EQ(whole["active"], "a");
  EXPECT_EQ(whole["messages"][1]["details"]["seed"], 9007199254740993);
  EXPECT_EQ(whole["messages"][0]["parent"], nullptr);
  Post(at, "/v1/conversations/{id}", {{"active", "q"}});
  EXPECT_EQ(Get(at)["active"], "q");
  EXPECT_EQ(Post(at, "/v1/conversations/{id}", {{"title", "別名"}})["title"], "別名");

  const std::string search = "/v1/conversations/search";
  EXPECT_EQ(Post(search, search, {{"query", "温度"}})["data"][0]["id"], id);
  EXPECT_EQ(Post(search, search, {{"query", "湿度"}})["data"].size(), 0u);
  EXPECT_EQ(Post(search, search, {{"limit", 1}})["data"].size(), 1u);
  EXPECT_EQ(Post(search, search, {{"after", id}})["data"].size(), 0u);
  EXPECT_EQ(Get("/v1/conversations")["data"].size(), 1u);

  Post(at, "/v1/conversations/{id}", {{"active", "a"}});
  const HttpAnswer markdown = Ask("GET", at + "/export.md", "Accept-Language: ja\r\n");
  EXPECT_EQ(markdown.headers.at("content-type"), "text/markdown; charset=utf-8");
  EXPECT_EQ(markdown.headers.at("content-disposition"), "attachment; filename=\"" + id + ".md\"");
  EXPECT_NE(markdown.body.find("## 回答 (m)\n\n**80 ℃**"), std::string::npos) << markdown.body;
  EXPECT_EQ(Get(at + "/export.json")["format"], "tatara-conversation-1");

  EXPECT_EQ(Ask("DELETE", at).status, 200);
  EXPECT_EQ(Ask("DELETE", at).status, 404);
  EXPECT_EQ(Ask("GET", at).status, 404);
  Make("1");
  Make("2");
  EXPECT_EQ(Json::parse(Ask("DELETE", "/v1/conversations").body)["deleted"], 2);
}

TEST_F(Conversations, WhatIsWrongIsSaidWithItsField) {
  const std::string at = "/v1/conversations/" + Make("t");
  const auto param = [&](const Json& body) {
    const HttpAnswer answer = client_->AskPost(at + "/messages", Dump(body));
    EXPECT_EQ(answer.status, 400) << answer.body;
    return answer.body;
  };
  EXPECT_NE(param({{"id", "q"}, {"details", 7}}).find("details"), std::string::npos);
  EXPECT_NE(param({{"id", "q"}, {"role", "system"}}).find("role"), std::string::npos);
  EXPECT_NE(param({{"id", "<x>"}}).find("id:"), std::string::npos);
  EXPECT_NE(param({{"id", "q"}, {"parent", "p"}}).find("parent"), std::string::npos);
  EXPECT_NE(param({{"content", "x"}}).find("id"), std::string::npos);
  EXPECT_EQ(Status("/v1/conversations/search", {{"query", std::string(2000, 'x')}}), 400);
  EXPECT_EQ(Status("/v1/conversations/search", {{"query", "x"}, {"after", "y"}}), 400);
  EXPECT_EQ(Status("/v1/conversations", {{"title", std::string(2000, 'x')}}), 400);
  EXPECT_EQ(Status(at, {{"active", "none"}}), 400);
}

TEST_F(Conversations, PathsThatAreNotThereAreSaidSo) {
  const std::string id = Make("t");
  for (const std::string path : {"/v1/conversations/conv_0", "/v1/conversations/..%2f..",
                                 "/v1/conversations/%00", "/v1/conversations/../../etc/passwd",
                                 "/v1/conversations/conv_0/export.md", "/v1/conversations/'--"}) {
    EXPECT_EQ(Ask("GET", path).status, 404) << path;
  }
  EXPECT_EQ(Ask("GET", "/v1/conversations/" + id + "/export.exe").status, 404);
  EXPECT_EQ(Ask("GET", "/v1/conversations/" + id + "/messages").status, 405);
  EXPECT_EQ(Status("/v1/conversations/" + id + "/export.md", Json::object()), 405);
  EXPECT_EQ(Ask("DELETE", "/v1/conversations/" + id + "/messages").status, 405);
  EXPECT_EQ(Ask("DELETE", "/v1/conversations/" + id, "Origin: http://evil.example\r\n").status,
            403);
}

TEST(WithoutHistory, ConversationsAreNotThere) {
  assistant::Service service({});
  const auto server = Server::Start(service, {.port = 0});
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(HttpClient((*server)->port()).AskGet("/v1/conversations").status, 404);
}

}  // namespace
}  // namespace tatara::server
