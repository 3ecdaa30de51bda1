#include "http.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "http_client.h"

namespace tatara::server {
namespace {

using test::HttpAnswer;
using test::HttpClient;

// Answers with what it was asked; /stream writes until the client goes.
class EchoServer {
 public:
  explicit EchoServer(ServerOptions options = {}) {
    options.port = 0;
    options.drain_seconds = 1;
    auto started = HttpServer::Start(
        options,
        [this](std::shared_ptr<Exchange> exchange) {
          if (exchange->request().path == "/stream") {
            exchange->OnGone([this] { ++gone; });
            held = exchange;  // before the client can know of it
            exchange->BeginStream("text/event-stream", {});
            exchange->Write("data: 1\n\n");
            return;
          }
          exchange->Send({.body = exchange->request().path + "|" + exchange->request().body});
        },
        [](int status, std::string_view message) {
          return HttpResponse{.status = status, .body = std::string(message)};
        });
    EXPECT_TRUE(started.ok()) << started.error().text();
    server = std::move(started).value();
  }
  ~EchoServer() { held.reset(); }
  int port() const { return server->port(); }
  bool GoneWithin(double seconds) const {
    for (int i = 0; i < seconds * 100 && gone == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return gone > 0;
  }

  std::atomic<int> gone{0};
  std::shared_ptr<Exchange> held;
  std::unique_ptr<HttpServer> server;
};

TEST(HttpServer, ConnectionsAreKeptAndRequestsSentAheadAnsweredInOrder) {
  EchoServer server;
  HttpClient client(server.port());
  EXPECT_EQ(client.AskGet("/a").body, "/a|");
  client.Send(HttpClient::Post("/b", "1") + HttpClient::Post("/c", "22") +
              "GET /d?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.Read().body, "/b|1");
  EXPECT_EQ(client.Read().body, "/c|22");
  EXPECT_EQ(client.Read().body, "/d|");
  EXPECT_EQ(server.server->connections(), 1);
}

TEST(HttpServer, WhatIsNoHttpGets400AndTheConnectionEnds) {
  EchoServer server;
  for (const char* bytes :
       {"hello\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nA B: c\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    HttpClient client(server.port());
    client.Send(bytes);
    EXPECT_EQ(client.Read().status, 400) << bytes;
    EXPECT_FALSE(client.More()) << bytes;
  }
  EXPECT_EQ(HttpClient(server.port()).AskGet("/still").status, 200);
}

TEST(HttpServer, HeadersAndBodiesBeyondTheBoundsAreRefusedBeforeTheyAreRead) {
  EchoServer server({.header_bytes_max = 1024, .body_bytes_max = 100});
  HttpClient header(server.port());
  header.Send("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'a'));
  EXPECT_EQ(header.Read().status, 431);
  HttpClient body(server.port());
  body.Send("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
  EXPECT_EQ(body.Read().status, 413);
  HttpClient chunks(server.port());
  chunks.Send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" +
              std::string(0xfff, 'x') + "\r\n");
  EXPECT_EQ(chunks.Read().status, 413);
}

TEST(HttpServer, AHundredMegabytesOfHeadersAreNotTaken) {
  EchoServer server;
  HttpClient client(server.port());
  std::string lines;
  while (lines.size() < (1 << 20)) lines += "X-A: " + std::string(1000, 'a') + "\r\n";
  bool open = client.Send("GET / HTTP/1.1\r\nHost: h\r\n");
  for (int megabytes = 0; open && megabytes < 100; ++megabytes) open = client.Send(lines);
  // Refused after the first of them; the rest is thrown away for a moment, so that the answer is
  // read.
  EXPECT_EQ(client.Read().status, 431);
  EXPECT_EQ(HttpClient(server.port()).AskGet("/still").status, 200);
}

TEST(HttpServer, AHeaderThatDripsIsCutOff) {
  EchoServer server({.header_seconds = 0.3});
  HttpClient client(server.port());
  const auto start = std::chrono::steady_clock::now();
  bool open = client.Send("GET / HTTP/1.1\r\n");
  for (int i = 0; open && i < 100; ++i) {
    open = client.Send("X: y\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_FALSE(open);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST(HttpServer, TellsWhenTheReaderOfAStreamHasGone) {
  EchoServer server;
  {
    HttpClient client(server.port());
    client.Send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    while (client.unread().find("data: 1") == std::string::npos) ASSERT_TRUE(client.More());
    EXPECT_EQ(server.gone, 0);
  }
  EXPECT_TRUE(server.GoneWithin(5));
  EXPECT_EQ(server.gone, 1);
}

TEST(HttpServer, AReaderTooSlowForItsStreamIsLeft) {
  EchoServer server({.unsent_bytes_max = 1 << 20});
  HttpClient client(server.port());
  client.Send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  while (client.unread().find("data: 1") == std::string::npos) ASSERT_TRUE(client.More());
  for (int i = 0; i < 200 && server.gone == 0; ++i) {
    server.held->Write(std::string(1 << 16, 'x'));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(server.GoneWithin(5));
}

TEST(HttpServer, AnOlderProtocolGetsItsStreamUpToTheEndOfTheConnection) {
  EchoServer server;
  HttpClient client(server.port());
  client.Send("GET /stream HTTP/1.0\r\n\r\n");
  while (client.unread().find("data: 1") == std::string::npos) ASSERT_TRUE(client.More());
  EXPECT_EQ(client.unread().find("chunked"), std::string::npos);
  server.held->EndStream();
  while (client.More()) {
  }
  EXPECT_TRUE(client.unread().ends_with("data: 1\n\n"));
  EXPECT_EQ(server.gone, 0);
}

}  // namespace
}  // namespace tatara::server
