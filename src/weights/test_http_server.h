// For tests: a small HTTP/1.1 server on a loopback port, one connection after another, that can
// misbehave as told. Not for use outside tests.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tatara::weights::test {

struct HttpAnswer {
  int status = 200;
  std::string headers;  // lines, each with "\r\n"
  std::string body;     // the whole file; a Range of the request is honoured unless told otherwise
  bool honour_range = true;
  std::size_t cut_after = std::string::npos;  // close the connection after so many bytes of body
  int pause_us_per_kb = 0;
};

class HttpServer {
 public:
  using Handler = std::function<HttpAnswer(const std::string& request)>;

  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_, 16);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~HttpServer() {
    stop_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  int port() const { return port_; }
  std::string Url(const std::string& path, const std::string& host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(port_) + path;
  }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void Serve() {
    while (!stop_) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      Answer(fd);
      ::close(fd);
    }
  }

  void Answer(int fd) {
    std::string request;
    char block[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(fd, block, sizeof block, 0);
      if (n <= 0) return;
      request.append(block, static_cast<std::size_t>(n));
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    Send(fd, handler_(request), request);
  }

  void Send(int fd, HttpAnswer answer, const std::string& request) {
    const std::size_t total = answer.body.size();
    const std::size_t range = request.find("Range: bytes=");
    if (answer.status == 200 && answer.honour_range && range != std::string::npos) {
      const std::size_t from = std::stoull(request.substr(range + 13));
      if (from >= total) {
        answer.status = 416;
        answer.body.clear();
      } else {
        answer.status = 206;
        answer.headers += "Content-Range: bytes " + std::to_string(from) + "-" +
                          std::to_string(total - 1) + "/" + std::to_string(total) + "\r\n";
        answer.body.erase(0, from);
      }
    }
    std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\nConnection: close\r\n";
    if (answer.headers.find("Content-Length") == std::string::npos) {
      head += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n";
    }
    head += answer.headers + "\r\n";
    SendAll(fd, head, 0);
    SendAll(fd, answer.body.substr(0, answer.cut_after), answer.pause_us_per_kb);
  }

  void SendAll(int fd, const std::string& bytes, int pause_us_per_kb) {
    for (std::size_t at = 0; at < bytes.size() && !stop_;) {
      const std::size_t n =
          pause_us_per_kb > 0 ? std::min<std::size_t>(1024, bytes.size() - at) : bytes.size() - at;
      const ssize_t sent = ::send(fd, bytes.data() + at, n, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<std::size_t>(sent);
      if (pause_us_per_kb > 0)
        std::this_thread::sleep_for(std::chrono::microseconds(pause_us_per_kb));
    }
  }

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace tatara::weights::test
