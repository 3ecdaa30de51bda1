// One connection: requests read within their limits, one after the other, and answers written as
// they come. For http_server.cc, which accepts connections.
//
// Each thread runs a context of its own and a connection stays on one, so that nothing of a
// connection needs a lock or a strand. A request that came in one piece and is answered at once
// takes one read, one write and no timer but the idle one's.
// Thread safety: HttpShared from any thread, a session on the thread of its context.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "http.h"
#include "stream.h"

namespace tatara::server {

inline std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

class HttpSession;

// What all connections share. The contexts live as long as any of them.
struct HttpShared {
  std::vector<std::unique_ptr<boost::asio::io_context>> contexts;  // a thread each
  std::mutex mutex;
  std::set<HttpSession*> sessions;
  std::vector<std::shared_ptr<HttpSession>> leaving;
  std::map<std::string, int> connections_by_address;  // under the mutex
  std::atomic<std::shared_ptr<const ServerOptions>> options;
  std::atomic<std::shared_ptr<boost::asio::ssl::context>> tls;
  std::atomic<std::int64_t> refused{0};
  Handler handler;
  RefusalMaker refusal;
  std::atomic<int> connections{0};
  std::atomic<int> busy{0};  // between a whole request and its whole answer
  std::atomic<bool> draining{false};
};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(AnyStream::Socket socket, std::string peer, std::shared_ptr<HttpShared> shared);
  ~HttpSession();
  // Whether one more connection from there is within the limits.
  static bool MayConnect(HttpShared& shared, const std::string& peer);
  // At the end of the server: whoever is still there is left.
  static void LeaveAll(HttpShared& shared);
  void Start();

 private:
  friend class HttpSessionExchange;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void Handshake();
  void ReadFirst();
  void WaitForFirst();
  void ParseWhatCame();
  void ReadHeader();
  void AfterHeader();
  void ReadBody();
  void Handle();
  void RefuseRequest(const boost::system::error_code& error);
  void WatchForGone();
  void Gone();
  void Close();
  void Linger();
  void Flush();
  void FinishResponse();
  void Append(std::string bytes);
  std::string Head(int status, std::string_view content_type, const Headers& headers,
                   std::optional<std::size_t> length);
  void Send(HttpResponse response);
  void BeginStream(const std::string& content_type, const Headers& headers);
  void Write(std::string_view bytes);
  void EndStream();

  const std::shared_ptr<HttpShared> shared_;      // outlives the stream
  std::shared_ptr<const ServerOptions> options_;  // as of the request's first byte
  const std::string peer_;
  AnyStream stream_;
  boost::asio::steady_timer idle_timer_;  // for WaitForFirst
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::string pending_, sending_;  // answers' bytes: to be sent, and being sent
  std::function<void()> gone_;
  std::uint64_t serial_ = 0;  // of the request that is answered
  bool responding_ = false;
  bool whole_ = false;  // the answer's last byte is in pending_
  bool writing_ = false;
  bool watching_ = false;
  bool waiting_ = false;  // under TLS: the watch's read is the next request's first
  bool closed_ = false;
  bool keep_alive_ = true;
  bool streaming_ = false, chunked_ = false, head_only_ = false;
};

}  // namespace tatara::server
