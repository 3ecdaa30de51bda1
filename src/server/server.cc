#include "tatara/server/server.h"

#include <atomic>
#include <utility>

#include "api.h"

namespace tatara::server {
namespace {

class ServerImpl final : public Server {
 public:
  ServerImpl(assistant::Service& service, const ServerOptions& options)
      : options_(options), service_(service) {}
  ~ServerImpl() override { Stop(); }

  Result<> Listen() {
    if (!options_.history_folder.empty()) {
      TATARA_TRY(history_, assistant::History::Open({.folder = options_.history_folder,
                                                     .bytes_max = options_.history_bytes_max}));
    }
    context_ = MakeContext();
    TATARA_TRY(http_,
               HttpServer::Start(
                   options_,
                   [this](std::shared_ptr<Exchange> exchange) {
                     HandleRequest(context_.load(), std::move(exchange));
                   },
                   [](int status, std::string_view message) {
                     return ErrorResponse({.status = status, .message = std::string(message)});
                   }));
    return Ok{};
  }
  Result<> Reload(const ServerOptions& wanted) override {
    ServerOptions next = wanted;
    next.host = options_.host;
    next.port = options_.port;
    next.keys = options_.keys;
    next.require_key = options_.require_key;
    next.n_threads = options_.n_threads;
    next.cookies_secure = options_.cookies_secure;
    next.tls_certificate = options_.tls_certificate;
    next.tls_key = options_.tls_key;
    next.on_request = options_.on_request;
    next.span_counts = options_.span_counts;
    next.history_folder = options_.history_folder;
    next.history_bytes_max = options_.history_bytes_max;
    TATARA_RETURN_IF_ERROR(http_->Reload(next));
    options_ = std::move(next);
    context_ = MakeContext();
    return Ok{};
  }
  int port() const override { return http_->port(); }
  std::string address() const override {
    const bool v6 = options_.host.find(':') != std::string::npos;
    return (options_.tls_certificate.empty() ? "http://" : "https://") +
           (v6 ? "[" + options_.host + "]" : options_.host) + ":" + std::to_string(port());
  }
  void Stop() override {
    if (http_) http_->Stop();
  }

 private:
  std::shared_ptr<const ApiContext> MakeContext() {
    return std::make_shared<const ApiContext>(
        ApiContext{.service = &service_,
                   .history = history_.get(),
                   .strict = options_.strict,
                   .hands_over = true,
                   .options = std::make_shared<const ServerOptions>(options_),
                   .sessions = sessions_,
                   .stats = stats_,
                   .http = std::make_shared<const HttpCounts>(HttpCounts{
                       .connections = [this] { return http_->connections(); },
                       .connections_refused = [this] { return http_->connections_refused(); }})});
  }

  ServerOptions options_;
  assistant::Service& service_;
  const std::shared_ptr<Sessions> sessions_ = std::make_shared<Sessions>();
  const std::shared_ptr<ServerStats> stats_ = std::make_shared<ServerStats>();
  std::atomic<std::shared_ptr<const ApiContext>> context_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<assistant::History> history_;  // its thread answers to http_: it ends first
};

}  // namespace

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

Result<std::unique_ptr<Server>> Server::Start(assistant::Service& service, ServerOptions options) {
  if (!IsLoopback(options.host) && (!options.keys || !options.require_key)) {
    return Refuse("{0} can be reached from other machines; a key is needed there", options.host);
  }
  auto server = std::make_unique<ServerImpl>(service, options);
  TATARA_RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace tatara::server
