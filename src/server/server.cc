#include "tatara/server/server.h"

#include "api.h"

namespace tatara::server {
namespace {

class ServerImpl final : public Server {
 public:
  ServerImpl(assistant::Service& service, const ServerOptions& options)
      : context_(std::make_shared<const ApiContext>(
            ApiContext{.service = &service,
                       .strict = options.strict,
                       .options = std::make_shared<const ServerOptions>(options),
                       .sessions = std::make_shared<Sessions>()})),
        host_(options.host) {}
  ~ServerImpl() override { Stop(); }

  Result<> Listen(const ServerOptions& options) {
    if (!options.history_folder.empty()) {
      TATARA_TRY(history_, assistant::History::Open({.folder = options.history_folder,
                                                     .bytes_max = options.history_bytes_max}));
      ApiContext with_history = *context_;
      with_history.history = history_.get();
      context_ = std::make_shared<const ApiContext>(std::move(with_history));
    }
    TATARA_TRY(http_,
               HttpServer::Start(
                   options,
                   [this](std::shared_ptr<Exchange> exchange) {
                     HandleRequest(context_, std::move(exchange));
                   },
                   [](int status, std::string_view message) {
                     return ErrorResponse({.status = status, .message = std::string(message)});
                   }));
    return Ok{};
  }
  int port() const override { return http_->port(); }
  std::string address() const override {
    const bool v6 = host_.find(':') != std::string::npos;
    return "http://" + (v6 ? "[" + host_ + "]" : host_) + ":" + std::to_string(port());
  }
  void Stop() override {
    if (http_) http_->Stop();
  }

 private:
  std::shared_ptr<const ApiContext> context_;
  const std::string host_;
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
  TATARA_RETURN_IF_ERROR(server->Listen(options));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace tatara::server
