// Accepts connections and shares them out among the threads.
#include <sys/socket.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <thread>

#include "http_session.h"
#include "tls.h"

namespace tatara::server {
namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Executor = AnyStream::executor_type;
using Socket = AnyStream::Socket;
using ErrorCode = boost::system::error_code;

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
    HttpSession::LeaveAll(*shared_);
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
  static std::shared_ptr<HttpShared> MakeShared(int n_threads) {
    auto shared = std::make_shared<HttpShared>();
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
      if (!ignored && HttpSession::MayConnect(*shared_, peer)) {
        socket.set_option(Tcp::no_delay(true), ignored);
        std::make_shared<HttpSession>(std::move(socket), peer, shared_)->Start();
      } else {  // it is closed here
        ++shared_->refused;
      }
      Accept();
    });
  }

  const std::shared_ptr<HttpShared> shared_;
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
