// Beast parses; the bytes of answers are written here.
#include "http_session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

namespace tatara::server {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using Socket = AnyStream::Socket;
using ErrorCode = beast::error_code;

namespace {

constexpr std::size_t kReadBytes = 8192;
constexpr std::size_t kHeadBytes = 512;  // of most answers
constexpr double kLingerSeconds = 2;
constexpr int kConnectionsPerAddressMax = 256;
constexpr int kNetworkBytes = 8;  // of an IPv6 address: what one site has

// The addresses that count as one: of IPv6 the /64, since a site has that many at will.
std::string AddressGroup(const std::string& peer) {
  ErrorCode error;
  const auto address = asio::ip::make_address(peer, error);
  if (error || !address.is_v6()) return peer;
  auto bytes = address.to_v6().to_bytes();
  std::fill(bytes.begin() + kNetworkBytes, bytes.end(), 0);
  return asio::ip::address_v6(bytes).to_string();
}

}  // namespace

// A handler's view of one request of a session.
class HttpSessionExchange final : public Exchange,
                                  public std::enable_shared_from_this<HttpSessionExchange> {
 public:
  HttpSessionExchange(std::shared_ptr<HttpSession> session, HttpRequest request)
      : session_(std::move(session)), serial_(session_->serial_), request_(std::move(request)) {}

  const HttpRequest& request() const override { return request_; }
  void Send(HttpResponse response) override {
    Do([response = std::move(response)](HttpSession& session) mutable {
      session.Send(std::move(response));
    });
  }
  void BeginStream(std::string content_type, Headers headers) override {
    Do([type = std::move(content_type), headers = std::move(headers)](HttpSession& session) {
      session.BeginStream(type, headers);
    });
  }
  void Write(std::string bytes) override {
    Do([bytes = std::move(bytes)](HttpSession& session) { session.Write(bytes); });
  }
  void EndStream() override {
    Do([](HttpSession& session) { session.EndStream(); });
  }
  void OnGone(std::function<void()> gone) override {
    asio::dispatch(session_->stream_.get_executor(),
                   [self = shared_from_this(), gone = std::move(gone)]() mutable {
                     HttpSession& session = *self->session_;
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
      HttpSession& session = *self->session_;
      if (session.serial_ == self->serial_ && session.responding_ && !session.whole_) {
        function(session);
      }
    });
  }
  const std::shared_ptr<HttpSession> session_;
  const std::uint64_t serial_;
  const HttpRequest request_;
};

HttpSession::HttpSession(Socket socket, std::string peer, std::shared_ptr<HttpShared> shared)
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

HttpSession::~HttpSession() {
  if (responding_) --shared_->busy;
  const std::lock_guard lock(shared_->mutex);
  shared_->sessions.erase(this);
  --shared_->connections;
  const auto it = shared_->connections_by_address.find(AddressGroup(peer_));
  if (--it->second == 0) shared_->connections_by_address.erase(it);
}

bool HttpSession::MayConnect(HttpShared& shared, const std::string& peer) {
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

void HttpSession::LeaveAll(HttpShared& shared) {
  const std::lock_guard lock(shared.mutex);
  for (HttpSession* session : shared.sessions) {
    if (auto self = session->weak_from_this().lock()) {
      asio::post(self->stream_.get_executor(), [self] { self->Gone(); });
      shared.leaving.push_back(std::move(self));  // its end must not come under this lock
    }
  }
}

void HttpSession::Start() {
  asio::dispatch(stream_.get_executor(), [self = shared_from_this()] {
    self->stream_.is_tls() ? self->Handshake() : self->ReadFirst();
  });
}

void HttpSession::Handshake() {
  stream_.tcp().expires_after(Seconds(options_->header_seconds));
  stream_.async_handshake([self = shared_from_this()](ErrorCode error) {
    if (error) return self->Close();
    self->ReadFirst();
  });
}

void HttpSession::ReadFirst() {
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
void HttpSession::WaitForFirst() {
  waiting_ = true;
  idle_timer_.expires_after(Seconds(options_->idle_seconds));
  idle_timer_.async_wait([self = shared_from_this()](ErrorCode stopped) {
    if (!stopped && self->waiting_) self->Close();
  });
}

void HttpSession::ParseWhatCame() {
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

void HttpSession::ReadHeader() {
  stream_.tcp().expires_after(Seconds(options_->header_seconds));
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = shared_from_this()](ErrorCode error, std::size_t) {
                            if (error) return self->RefuseRequest(error);
                            self->AfterHeader();
                          });
}

void HttpSession::AfterHeader() {
  if (!beast::iequals(parser_->get()[http::field::expect], "100-continue")) return ReadBody();
  sending_ = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(stream_, asio::buffer(sending_),
                    [self = shared_from_this()](ErrorCode error, std::size_t) {
                      if (error) return self->Close();
                      self->ReadBody();
                    });
}

void HttpSession::ReadBody() {
  stream_.tcp().expires_after(Seconds(options_->body_seconds));
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](ErrorCode error, std::size_t) {
                     if (error) return self->RefuseRequest(error);
                     self->stream_.tcp().expires_never();
                     self->Handle();
                   });
}

void HttpSession::Handle() {
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
  shared_->handler(std::make_shared<HttpSessionExchange>(shared_from_this(), std::move(request)));
  if (responding_ && serial_ == serial) WatchForGone();
}

void HttpSession::RefuseRequest(const ErrorCode& error) {
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
void HttpSession::WatchForGone() {
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

void HttpSession::Gone() {
  if (responding_) {
    responding_ = false;
    --shared_->busy;
    if (gone_ && !whole_) std::exchange(gone_, nullptr)();
  }
  gone_ = nullptr;
  Close();
}

void HttpSession::Close() {
  if (closed_) return;
  closed_ = true;
  ErrorCode ignored;
  stream_.socket().shutdown(Tcp::socket::shutdown_both, ignored);
  stream_.tcp().close();
  idle_timer_.cancel();
}

// A close with bytes unread would make the client's system drop our answer.
void HttpSession::Linger() {
  if (stream_.is_tls()) {
    stream_.tcp().expires_after(Seconds(kLingerSeconds));
    return stream_.async_shutdown([self = shared_from_this()](ErrorCode) { self->Close(); });
  }
  ErrorCode ignored;
  stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
  stream_.tcp().expires_after(Seconds(kLingerSeconds));
  const auto discard = [](const auto& again, std::shared_ptr<HttpSession> self) -> void {
    self->buffer_.clear();
    HttpSession& session = *self;
    session.stream_.async_read_some(session.buffer_.prepare(kReadBytes),
                                    [again, self](ErrorCode error, std::size_t) {
                                      if (error) return self->Close();
                                      again(again, self);
                                    });
  };
  discard(discard, shared_from_this());
}

std::string HttpSession::Head(int status, std::string_view content_type, const Headers& headers,
                              std::optional<std::size_t> length) {
  if (shared_->draining) keep_alive_ = false;
  std::string head;
  head.reserve(kHeadBytes);
  const auto add = [&head](auto... parts) { ((head += parts), ...); };
  add("HTTP/1.1 ", fmt::format_int(status).c_str(), " ", StatusText(status));
  add("\r\nServer: tatara\r\n");
  if (status != 204) add("Content-Type: ", content_type, "\r\n");
  add("X-Content-Type-Options: nosniff\r\n");
  for (const auto& [name, value] : headers) {
    add(std::string_view(name), ": ", std::string_view(value), "\r\n");
  }
  if (status == 304) {  // has no body; a length would be that of the answer left out
  } else if (length) {
    add("Content-Length: ", fmt::format_int(*length).c_str(), "\r\n");
  } else if (chunked_) {
    add("Transfer-Encoding: chunked\r\n");
  } else {
    keep_alive_ = false;  // HTTP/1.0: the end of the connection is the end of the answer
  }
  add(keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  return head;
}

void HttpSession::Send(HttpResponse response) {
  if (streaming_) return EndStream();
  std::string bytes =
      Head(response.status, response.content_type, response.headers, response.body.size());
  if (!head_only_) bytes += response.body;
  whole_ = true;
  Append(std::move(bytes));
}

void HttpSession::BeginStream(const std::string& content_type, const Headers& headers) {
  if (streaming_) return;
  streaming_ = true;
  Append(Head(200, content_type, headers, std::nullopt));
}

void HttpSession::Write(std::string_view bytes) {
  if (!streaming_ || bytes.empty()) return;
  Append(chunked_ ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes) : std::string(bytes));
}

void HttpSession::EndStream() {
  if (!streaming_) return;
  whole_ = true;
  Append(chunked_ ? "0\r\n\r\n" : "");
}

void HttpSession::Append(std::string bytes) {
  pending_ += bytes;
  if (pending_.size() > options_->unsent_bytes_max && !whole_) return Gone();
  Flush();
}

void HttpSession::Flush() {
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

void HttpSession::FinishResponse() {
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

}  // namespace tatara::server
