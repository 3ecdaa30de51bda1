// Beast parses; the bytes of answers are written here.
//
// Each thread runs a context of its own and a connection stays on one, so that nothing of a
// connection needs a lock or a strand. A request that came in one piece and is answered at once
// takes one read, one write and no timer but the idle one's.
#include <fmt/format.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "http.h"
#include "stream.h"
#include "tls.h"

namespace tatara::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using Executor = AnyStream::executor_type;
using Socket = AnyStream::Socket;
using ErrorCode = beast::error_code;

constexpr std::size_t kReadBytes = 8192;
constexpr double kLingerSeconds = 2;
constexpr int kConnectionsPerAddressMax = 256;
constexpr int kNetworkBytes = 8;  // of an IPv6 address: what one site has

std::chrono::nanoseconds Seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

// The addresses that count as one: of IPv6 the /64, since a site has that many at will.
std::string AddressGroup(const std::string& peer) {
  ErrorCode error;
  const auto address = asio::ip::make_address(peer, error);
  if (error || !address.is_v6()) return peer;
  auto bytes = address.to_v6().to_bytes();
  std::fill(bytes.begin() + kNetworkBytes, bytes.end(), 0);
  return asio::ip::address_v6(bytes).to_string();
}

class Session;

// What all connections share. The contexts live as long as any of them.
struct Shared {
  std::vector<std::unique_ptr<asio::io_context>> contexts;  // a thread each
  std::mutex mutex;
  std::set<Session*> sessions;
  std::vector<std::shared_ptr<Session>> leaving;
  std::map<std::string, int> connections_by_address;  // under the mutex
  std::atomic<std::shared_ptr<const ServerOptions>> options;
  std::atomic<std::shared_ptr<asio::ssl::context>> tls;
  std::atomic<std::int64_t> refused{0};
  Handler handler;
  RefusalMaker refusal;
  std::atomic<int> connections{0};
  std::atomic<int> busy{0};  // between a whole request and its whole answer
  std::atomic<bool> draining{false};
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket socket, std::string peer, std::shared_ptr<Shared> shared)
      : shared_(std::move(shared)),
        options_(shared_->options.load()),
        peer_(std::move(peer)),
        stream_(std::move(socket), shared_->tls.load()),
        idle_timer_(stream_.get_executor()) {
    const std::lock_guard lock(shared_->mutex);
    shared_->sessions.insert(this);
    ++shared_->connections;
    ++shared_->connections_by_address[AddressGroup(peer_)];
  }
  ~Session() {
    if (responding_) --shared_->busy;
    const std::lock_guard lock(shared_->mutex);
    shared_->sessions.erase(this);
    --shared_->connections;
    const auto it = shared_->connections_by_address.find(AddressGroup(peer_));
    if (--it->second == 0) shared_->connections_by_address.erase(it);
  }
  static bool MayConnect(Shared& shared, const std::string& peer) {
    const auto options = shared.options.load();
    int most = options->connections_per_address_max;
    if (most == 0) {
      most = IsLoopback(options->host) ? options->connections_max : kConnectionsPerAddressMax;
    }
    const std::lock_guard lock(shared.mutex);
    const auto it = shared.connections_by_address.find(AddressGroup(peer));
    return shared.connections < options->connections_max &&
           (it == shared.connections_by_address.end() || it->second < most);
  }
  // At the end of the server: whoever is still there is left.
  static void LeaveAll(Shared& shared) {
    const std::lock_guard lock(shared.mutex);
    for (Session* session : shared.sessions) {
      if (auto self = session->weak_from_this().lock()) {
        asio::post(self->stream_.get_executor(), [self] { self->Gone(); });
        shared.leaving.push_back(std::move(self));  // its end must not come under this lock
      }
    }
  }
  void Start() {
    asio::dispatch(stream_.get_executor(), [self = shared_from_this()] {
      self->stream_.is_tls() ? self->Handshake() : self->ReadFirst();
    });
  }

 private:
  friend class SessionExchange;
  using Parser = http::request_parser<http::string_body>;

  void Handshake();
  void ReadFirst();
  void WaitForFirst();
  void ParseWhatCame();
  void ReadHeader();
  void AfterHeader();
  void ReadBody();
  void Handle();
  void RefuseRequest(const ErrorCode& error);
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

  const std::shared_ptr<Shared> shared_;          // outlives the stream
  std::shared_ptr<const ServerOptions> options_;  // as of the request's first byte
  const std::string peer_;
  AnyStream stream_;
  asio::steady_timer idle_timer_;  // for WaitForFirst
  beast::flat_buffer buffer_;
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

// A handler's view of one request of a session.
class SessionExchange final : public Exchange,
                              public std::enable_shared_from_this<SessionExchange> {
 public:
  SessionExchange(std::shared_ptr<Session> session, HttpRequest request)
      : session_(std::move(session)), serial_(session_->serial_), request_(std::move(request)) {}

  const HttpRequest& request() const override { return request_; }
  void Send(HttpResponse response) override {
    Do([response = std::move(response)](Session& session) mutable {
      session.Send(std::move(response));
    });
  }
  void BeginStream(std::string content_type, Headers headers) override {
    Do([type = std::move(content_type), headers = std::move(headers)](Session& session) {
      session.BeginStream(type, headers);
    });
  }
  void Write(std::string bytes) override {
    Do([bytes = std::move(bytes)](Session& session) { session.Write(bytes); });
  }
  void EndStream() override {
    Do([](Session& session) { session.EndStream(); });
  }
  void OnGone(std::function<void()> gone) override {
    asio::dispatch(session_->stream_.get_executor(),
                   [self = shared_from_this(), gone = std::move(gone)]() mutable {
                     Session& session = *self->session_;
                     if (session.serial_ != self->serial_ || session.whole_) return;
                     if (!session.responding_) return gone();
                     session.gone_ = std::move(gone);
                   });
  }
  void Post(std::function<void()> function) override {
    asio::post(session_->stream_.get_executor(),
               [self = shared_from_this(), function = std::move(function)] { function(); });
  }

 private:
  template <typename F>
  void Do(F function) {
    asio::dispatch(session_->stream_.get_executor(), [self = shared_from_this(),
                                                      function = std::move(function)]() mutable {
      Session& session = *self->session_;
      if (session.serial_ == self->serial_ && session.responding_ && !session.whole_) {
        function(session);
      }
    });
  }
  const std::shared_ptr<Session> session_;
  const std::uint64_t serial_;
  const HttpRequest request_;
};

void Session::Handshake() {
  stream_.tcp().expires_after(Seconds(options_->header_seconds));
  stream_.async_handshake([self = shared_from_this()](ErrorCode error) {
    if (error) return self->Close();
    self->ReadFirst();
  });
}

void Session::ReadFirst() {
  if (closed_) return;
  options_ = shared_->options.load();
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(options_->header_bytes_max));
  parser_->body_limit(options_->body_bytes_max);
  if (watching_ && stream_.is_tls()) return WaitForFirst();
  if (buffer_.size() > 0) {  // a request sent ahead; not from here, they may be many
    asio::post(stream_.get_executor(), [self = shared_from_this()] { self->ParseWhatCame(); });
    return;
  }
  stream_.tcp().expires_after(Seconds(options_->idle_seconds));
  stream_.async_read_some(buffer_.prepare(kReadBytes),
                          [self = shared_from_this()](ErrorCode error, std::size_t n) {
                            if (error) return self->Close();
                            self->buffer_.commit(n);
                            self->ParseWhatCame();
                          });
}

// A read under TLS can not be taken back, so the one that watched for the end goes on as this
// request's first, with a time of its own.
void Session::WaitForFirst() {
  waiting_ = true;
  idle_timer_.expires_after(Seconds(options_->idle_seconds));
  idle_timer_.async_wait([self = shared_from_this()](ErrorCode stopped) {
    if (!stopped && self->waiting_) self->Close();
  });
}

void Session::ParseWhatCame() {
  if (closed_) return;
  parser_->eager(true);
  ErrorCode error;
  buffer_.consume(parser_->put(buffer_.data(), error));
  if (error && error != http::error::need_more) return RefuseRequest(error);
  if (parser_->is_done()) {
    stream_.tcp().expires_never();
    return Handle();
  }
  if (parser_->is_header_done()) return AfterHeader();
  ReadHeader();
}

void Session::ReadHeader() {
  stream_.tcp().expires_after(Seconds(options_->header_seconds));
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = shared_from_this()](ErrorCode error, std::size_t) {
                            if (error) return self->RefuseRequest(error);
                            self->AfterHeader();
                          });
}

void Session::AfterHeader() {
  if (!beast::iequals(parser_->get()[http::field::expect], "100-continue")) return ReadBody();
  sending_ = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(stream_, asio::buffer(sending_),
                    [self = shared_from_this()](ErrorCode error, std::size_t) {
                      if (error) return self->Close();
                      self->ReadBody();
                    });
}

void Session::ReadBody() {
  stream_.tcp().expires_after(Seconds(options_->body_seconds));
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](ErrorCode error, std::size_t) {
                     if (error) return self->RefuseRequest(error);
                     self->stream_.tcp().expires_never();
                     self->Handle();
                   });
}

void Session::Handle() {
  auto message = parser_->release();
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  request.path = target.substr(0, target.find('?'));
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request.body = std::move(message.body());
  request.peer = peer_;
  keep_alive_ = message.keep_alive();
  chunked_ = message.version() >= 11;
  head_only_ = message.method() == http::verb::head;
  streaming_ = whole_ = false;
  responding_ = true;
  ++serial_;
  ++shared_->busy;
  const std::uint64_t serial = serial_;
  shared_->handler(std::make_shared<SessionExchange>(shared_from_this(), std::move(request)));
  if (responding_ && serial_ == serial) WatchForGone();
}

void Session::RefuseRequest(const ErrorCode& error) {
  int status = 0;
  if (error == http::error::header_limit) status = 431;
  if (error == http::error::body_limit) status = 413;
  if (error == beast::error::timeout) status = 408;
  if (status == 0) {
    // What is no HTTP is told so; a connection that ended has nobody to tell.
    const bool parsing =
        error.category() == http::make_error_code(http::error::bad_field).category();
    if (!parsing || error == http::error::end_of_stream || error == http::error::partial_message) {
      return Close();
    }
    status = 400;
  }
  // After a timeout the stream has closed its socket.
  if (status == 408) return Close();
  ++serial_;
  ++shared_->busy;
  responding_ = true;
  streaming_ = whole_ = head_only_ = keep_alive_ = false;
  const std::string reason = error.message();
  Send(shared_->refusal(status, status == 413   ? "the body is larger than is taken"
                                : status == 431 ? "the header is larger than is taken"
                                                : std::string_view(reason)));
}

// Nothing is read while a request is answered, so the end of the connection is asked for apart.
// Under TLS the end is a message among others, and only a read finds it.
void Session::WatchForGone() {
  if (watching_ || buffer_.size() > 0) return;
  watching_ = true;
  if (stream_.is_tls()) {
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](ErrorCode error, std::size_t n) {
                              self->watching_ = false;
                              if (self->closed_) return;
                              if (!error) self->buffer_.commit(n);
                              if (std::exchange(self->waiting_, false)) {
                                self->idle_timer_.cancel();
                                return error ? self->Close() : self->ParseWhatCame();
                              }
                              if (error) self->Gone();
                            });
    return;
  }
  stream_.socket().async_wait(Tcp::socket::wait_read, [self = shared_from_this(),
                                                       serial = serial_](ErrorCode error) {
    self->watching_ = false;
    if (error || self->closed_ || !self->responding_ || self->serial_ != serial) return;
    char byte;
    const auto n = recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return;
    self->Gone();
  });
}

void Session::Gone() {
  if (responding_) {
    responding_ = false;
    --shared_->busy;
    if (gone_ && !whole_) std::exchange(gone_, nullptr)();
  }
  gone_ = nullptr;
  Close();
}

void Session::Close() {
  if (closed_) return;
  closed_ = true;
  ErrorCode ignored;
  stream_.socket().shutdown(Tcp::socket::shutdown_both, ignored);
  stream_.tcp().close();
  idle_timer_.cancel();
}

// A close with bytes unread would make the client's system drop our answer.
void Session::Linger() {
  if (stream_.is_tls()) {
    stream_.tcp().expires_after(Seconds(kLingerSeconds));
    return stream_.async_shutdown([self = shared_from_this()](ErrorCode) { self->Close(); });
  }
  ErrorCode ignored;
  stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
  stream_.tcp().expires_after(Seconds(kLingerSeconds));
  const auto discard = [](const auto& again, std::shared_ptr<Session> self) -> void {
    self->buffer_.clear();
    Session& session = *self;
    session.stream_.async_read_some(session.buffer_.prepare(kReadBytes),
                                    [again, self](ErrorCode error, std::size_t) {
                                      if (error) return self->Close();
                                      again(again, self);
                                    });
  };
  discard(discard, shared_from_this());
}

std::string Session::Head(int status, std::string_view content_type, const Headers& headers,
                          std::optional<std::size_t> length) {
  if (shared_->draining) keep_alive_ = false;
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\nServer: tatara\r\n", status, StatusText(status));
  if (status != 204) head += fmt::format("Content-Type: {}\r\n", content_type);
  head += "X-Content-Type-Options: nosniff\r\n";
  for (const auto& [name, value] : headers) head += fmt::format("{}: {}\r\n", name, value);
  if (status == 304) {  // has no body; a length would be that of the answer left out
  } else if (length) {
    head += fmt::format("Content-Length: {}\r\n", *length);
  } else if (chunked_) {
    head += "Transfer-Encoding: chunked\r\n";
  } else {
    keep_alive_ = false;  // HTTP/1.0: the end of the connection is the end of the answer
  }
  head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

void Session::Send(HttpResponse response) {
  if (streaming_) return EndStream();
  std::string bytes =
      Head(response.status, response.content_type, response.headers, response.body.size());
  if (!head_only_) bytes += response.body;
  whole_ = true;
  Append(std::move(bytes));
}

void Session::BeginStream(const std::string& content_type, const Headers& headers) {
  if (streaming_) return;
  streaming_ = true;
  Append(Head(200, content_type, headers, std::nullopt));
}

void Session::Write(std::string_view bytes) {
  if (!streaming_ || bytes.empty()) return;
  Append(chunked_ ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes) : std::string(bytes));
}

void Session::EndStream() {
  if (!streaming_) return;
  whole_ = true;
  Append(chunked_ ? "0\r\n\r\n" : "");
}

void Session::Append(std::string bytes) {
  pending_ += bytes;
  if (pending_.size() > options_->unsent_bytes_max && !whole_) return Gone();
  Flush();
}

void Session::Flush() {
  if (writing_ || closed_) return;
  if (pending_.empty()) {
    if (whole_ && responding_) FinishResponse();
    return;
  }
  // Most answers fit into the socket's own buffer.
  const ssize_t n = stream_.is_tls() ? -1
                                     : ::send(stream_.socket().native_handle(), pending_.data(),
                                              pending_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n == static_cast<ssize_t>(pending_.size())) {
    pending_.clear();
    return Flush();
  }
  if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
  sending_ = std::exchange(pending_, {});
  writing_ = true;
  stream_.tcp().expires_after(Seconds(options_->write_seconds));
  asio::async_write(stream_, asio::buffer(sending_),
                    [self = shared_from_this()](ErrorCode error, std::size_t) {
                      self->writing_ = false;
                      if (error) return self->Gone();
                      self->stream_.tcp().expires_never();
                      self->Flush();
                    });
}

void Session::FinishResponse() {
  responding_ = false;
  gone_ = nullptr;
  --shared_->busy;
  if (!keep_alive_) return Linger();
  if (watching_ && !stream_.is_tls()) {
    ErrorCode ignored;
    stream_.socket().cancel(ignored);  // only the watch is outstanding here
  }
  ReadFirst();
}

class BeastServer final : public HttpServer {
 public:
  BeastServer(const ServerOptions& options, Handler handler, RefusalMaker refusal)
      : shared_(MakeShared(options.n_threads)), acceptor_(*shared_->contexts.front()) {
    shared_->options = std::make_shared<const ServerOptions>(options);
    shared_->handler = std::move(handler);
    shared_->refusal = std::move(refusal);
  }
  ~BeastServer() override { Stop(); }

  Result<> Listen() {
    const auto held = shared_->options.load();
    const ServerOptions& options = *held;
    TATARA_TRY(const auto tls, LoadTls(options));
    shared_->tls = tls;
    ErrorCode error;
    const auto address =
        asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error) return Refuse("'{0}' is not a numeric address of this machine", options.host);
    const Tcp::endpoint endpoint(address, static_cast<std::uint16_t>(options.port));
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return MakeError(ErrorKind::kIo, "cannot listen on {0}, port {1}: {2}", options.host,
                       options.port, error.message());
    }
    port_ = acceptor_.local_endpoint().port();
    Accept();
    for (const auto& context : shared_->contexts) {
      threads_.emplace_back([&context] {
        const auto work = asio::make_work_guard(*context);
        context->run();
      });
    }
    return Ok{};
  }

  int port() const override { return port_; }
  int connections() const override { return shared_->connections; }
  std::int64_t connections_refused() const override { return shared_->refused; }
  Result<> Reload(const ServerOptions& options) override {
    TATARA_TRY(const auto tls, LoadTls(options));
    if (tls) shared_->tls = tls;
    shared_->options = std::make_shared<const ServerOptions>(options);
    return Ok{};
  }

  void Stop() override {
    if (threads_.empty()) return;
    shared_->draining = true;
    asio::post(acceptor_.get_executor(), [this] {
      ErrorCode ignored;
      acceptor_.close(ignored);
    });
    const auto until =
        std::chrono::steady_clock::now() + Seconds(shared_->options.load()->drain_seconds);
    while (shared_->busy > 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    Session::LeaveAll(*shared_);
    std::exchange(shared_->leaving, {}).clear();
    // A model's thread may hold an exchange until its next step.
    for (int i = 0; i < 200 && shared_->connections > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    for (const auto& context : shared_->contexts) context->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  static std::shared_ptr<Shared> MakeShared(int n_threads) {
    auto shared = std::make_shared<Shared>();
    for (int i = 0; i < std::max(n_threads, 1); ++i) {
      shared->contexts.push_back(std::make_unique<asio::io_context>(1));  // one thread runs it
    }
    return shared;
  }

  void Accept() {
    asio::io_context& context = *shared_->contexts[next_++ % shared_->contexts.size()];
    acceptor_.async_accept(context, [this](ErrorCode error, Socket socket) {
      if (error == asio::error::operation_aborted || shared_->draining) return;
      if (error) {  // out of descriptors, mostly: others will end
        retry_.expires_after(std::chrono::milliseconds(50));
        retry_.async_wait([this](ErrorCode stopped) {
          if (!stopped) Accept();
        });
        return;
      }
      ErrorCode ignored;
      const std::string peer = socket.remote_endpoint(ignored).address().to_string();
      if (!ignored && Session::MayConnect(*shared_, peer)) {
        socket.set_option(Tcp::no_delay(true), ignored);
        std::make_shared<Session>(std::move(socket), peer, shared_)->Start();
      } else {  // it is closed here
        ++shared_->refused;
      }
      Accept();
    });
  }

  const std::shared_ptr<Shared> shared_;
  asio::basic_socket_acceptor<Tcp, Executor> acceptor_;
  asio::steady_timer retry_{*shared_->contexts.front()};
  std::size_t next_ = 0;  // the context of the next connection
  std::vector<std::thread> threads_;
  int port_ = 0;
};

}  // namespace

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string_view StatusText(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const ServerOptions& options, Handler handler,
                                                      RefusalMaker refusal) {
  auto server = std::make_unique<BeastServer>(options, std::move(handler), std::move(refusal));
  TATARA_RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace tatara::server
