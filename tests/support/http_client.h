// A small HTTP/1.1 client over a plain socket, for tests that must also misbehave.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

namespace tatara::test {

struct HttpAnswer {
  int status = 0;                              // 0: the connection ended before a header did
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

class HttpClient {
 public:
  explicit HttpClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval limit{.tv_sec = 60};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~HttpClient() { Close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  static std::string Post(std::string_view path, std::string_view body,
                          std::string_view more_headers = "") {
    return "POST " + std::string(path) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
           "Content-Type: application/json\r\n" + std::string(more_headers) +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
  }
  HttpAnswer AskGet(std::string_view path, std::string_view more_headers = "") {
    Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
         std::string(more_headers) + "\r\n");
    return Read();
  }
  HttpAnswer AskPost(std::string_view path, std::string_view body,
                     std::string_view more_headers = "") {
    Send(Post(path, body, more_headers));
    return Read();
  }
  // True where another byte came.
  bool More() {
    char block[4096];
    const auto n = recv(fd_, block, sizeof block, 0);
    if (n <= 0) return false;
    read_.append(block, static_cast<std::size_t>(n));
    return true;
  }
  const std::string& unread() const { return read_; }

  HttpAnswer Read() {
    HttpAnswer answer;
    const std::string head = Until("\r\n\r\n");
    if (head.empty()) return answer;
    answer.status = std::stoi(head.substr(9, 3));
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t end = head.find("\r\n", at), colon = head.find(':', at);
      if (end == at || colon == std::string::npos) break;
      std::string name = head.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(), ::tolower);
      answer.headers[name] = head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    if (answer.headers.contains("content-length")) {
      answer.body = Take(std::stoul(answer.headers["content-length"]));
    } else if (answer.headers["transfer-encoding"] == "chunked") {
      for (;;) {
        const std::string size = Until("\r\n");
        const std::size_t n = size.empty() ? 0 : std::stoul(size, nullptr, 16);
        answer.body += Take(n);
        Take(2);
        if (n == 0) break;
      }
    }
    return answer;
  }

 private:
  std::string Until(std::string_view mark) {
    while (read_.find(mark) == std::string::npos) {
      if (!More()) return {};
    }
    return Take(read_.find(mark) + mark.size());
  }
  std::string Take(std::size_t n) {
    while (read_.size() < n && More()) {
    }
    std::string out = read_.substr(0, n);
    read_.erase(0, out.size());
    return out;
  }
  int fd_;
  std::string read_;
};

}  // namespace tatara::test
