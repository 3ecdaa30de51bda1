// HTTP/1.1 with plain types: what the APIs see of a request, and how they answer. The library that
// parses stays inside http_server.cc.
// Thread safety: Exchange from any thread; handlers and posted functions of one exchange never run
// at the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/server/server.h"

namespace tatara::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;  // without query, as sent
  Headers headers;   // names in lower case
  std::string body;
  std::string peer;  // address of the other end
  // The only value of a header; empty where it is absent. Of several the first.
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  Headers headers;
  std::string body;
};

// One request and its answer: Send once, or BeginStream, Write, EndStream. What comes after the end
// or after the client has gone is dropped.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const HttpRequest& request() const = 0;
  virtual void Send(HttpResponse response) = 0;
  virtual void BeginStream(std::string content_type, Headers headers) = 0;
  virtual void Write(std::string bytes) = 0;
  virtual void EndStream() = 0;
  // Called once where the client goes away, or is too slow, before the answer is whole; never after
  // it is. At once where it has gone already.
  virtual void OnGone(std::function<void()> gone) = 0;
  // Runs a function in this exchange's turn.
  virtual void Post(std::function<void()> function) = 0;
};

using Handler = std::function<void(std::shared_ptr<Exchange>)>;
// The answer to what never became a request: 400, 408, 413, 431.
using RefusalMaker = std::function<HttpResponse(int status, std::string_view message)>;

class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> Start(const ServerOptions& options, Handler handler,
                                                   RefusalMaker refusal);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
  virtual int connections() const = 0;
  virtual std::int64_t connections_refused() const = 0;
  // Takes over the limits of `options` and reads the TLS files again; connections that are there
  // keep their certificate.
  virtual Result<> Reload(const ServerOptions& options) = 0;
  virtual void Stop() = 0;
};

std::string_view StatusText(int status);

}  // namespace tatara::server
