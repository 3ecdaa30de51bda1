#include "console.h"

#include <gtest/gtest.h>

#include "console_files.h"
#include "http_client.h"
#include "tatara/server/server.h"

namespace tatara::server {
namespace {

using test::HttpAnswer;
using test::HttpClient;

TEST(Console, GzipIsSentOnlyToThoseWhoTakeIt) {
  for (const char* taken :
       {"gzip", "br, gzip;q=0.5", "GZip ; q=1", "*", "identity;q=0.1, *;q=0.2"}) {
    EXPECT_TRUE(AcceptsGzip(taken)) << taken;
  }
  for (const char* refused :
       {"", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", ", ,;", "*, gzip;q=0"}) {
    EXPECT_FALSE(AcceptsGzip(refused)) << refused;
  }
}

TEST(Console, AnEntityTagIsFoundInAList) {
  EXPECT_TRUE(NamesEtag("\"a\"", "\"a\""));
  EXPECT_TRUE(NamesEtag("\"b\", W/\"a\"", "\"a\""));
  EXPECT_TRUE(NamesEtag("*", "\"a\""));
  EXPECT_FALSE(NamesEtag("\"ab\"", "\"a\""));
  EXPECT_FALSE(NamesEtag("", "\"a\""));
}

class ConsolePage : public testing::Test {
 protected:
  void SetUp() override {
    auto started = Server::Start(service_, {.port = 0, .require_key = true});
    ASSERT_TRUE(started.ok()) << started.error().text();
    server_ = std::move(started).value();
  }
  assistant::Service service_{assistant::ServiceOptions{}};
  std::unique_ptr<Server> server_;
};

TEST_F(ConsolePage, ThePageComesWithoutAKeyAndForbidsForeignScripts) {
  HttpClient client(server_->port());
  const HttpAnswer page = client.AskGet("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.headers.at("cache-control"), "no-cache");
  const std::string& policy = page.headers.at("content-security-policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_NE(page.body.find("<!doctype html>"), std::string::npos);
  EXPECT_EQ(page.body.find("<script>"), std::string::npos);
  EXPECT_EQ(client.AskGet("/", "If-None-Match: " + page.headers.at("etag") + "\r\n").status, 304);
}

TEST_F(ConsolePage, EveryFileOfThePageIsServedAndKeptForever) {
  HttpClient client(server_->port());
  int named_by_content = 0;
  for (const ConsoleFile& file : ConsoleFiles()) {
    const HttpAnswer plain = client.AskGet(file.path);
    EXPECT_EQ(plain.status, 200) << file.path;
    EXPECT_EQ(plain.body, file.plain);
    const HttpAnswer packed = client.AskGet(file.path, "Accept-Encoding: gzip\r\n");
    EXPECT_EQ(packed.headers.at("content-encoding"), "gzip");
    EXPECT_EQ(packed.body, file.gzip);
    EXPECT_LT(packed.body.size(), plain.body.size() + 32);
    if (!file.named_by_content) continue;
    ++named_by_content;
    EXPECT_NE(plain.headers.at("cache-control").find("immutable"), std::string::npos);
  }
  EXPECT_GE(named_by_content, 2);
}

TEST_F(ConsolePage, WhatIsNotAFileOfThePageStaysBehindTheKey) {
  HttpClient client(server_->port());
  EXPECT_EQ(client.AskGet("/assets/../v1/models").status, 401);
  EXPECT_EQ(client.AskGet("/index.html").status, 401);
  EXPECT_EQ(client.AskPost("/", "{}").status, 401);
}

}  // namespace
}  // namespace tatara::server
