#include "api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "console.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"

namespace tatara::server {
namespace {

constexpr std::size_t kIgnoredNamesMax = 32;

struct Route {
  std::string_view method;
  std::string_view path;  // ending in '/': a prefix of more
  void (*endpoint)(ApiCall);
  bool open = false;  // to everybody, key or none
};
constexpr Route kRoutes[] = {
    {"GET", "/health", Health, true},
    {"GET", "/ready", Ready, true},
    {"GET", "/metrics", Metrics},
    {"GET", "/openapi.json", OpenApiJson},
    {"GET", "/v1/models", ListModels},
    {"GET", "/v1/models/", OneModel},
    {"GET", "/v1/receipts/", OneReceipt},
    {"POST", "/v1/chat/completions", ChatCompletions},
    {"POST", "/v1/completions", Completions},
    {"POST", "/v1/embeddings", Embeddings},
    {"POST", "/v1/rerank", Rerank},
    {"POST", "/tokenize", Tokenize},
    {"POST", "/detokenize", Detokenize},
    {"POST", "/apply-template", ApplyTemplate},
};

bool Matches(const Route& route, std::string_view path) {
  return route.path.ends_with('/') ? path.starts_with(route.path) && path.size() > route.path.size()
                                   : path == route.path;
}

// "name:port" and "[::1]:port" without the port.
std::string HostName(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  return std::string(host.substr(0, host.find(':')));
}

// A page of another site may send a browser here under a name that it made point to this machine
// (DNS rebinding), or post to us from its own origin: both say so in these headers.
std::optional<ApiError> CheckWhere(const ApiContext& context, const HttpRequest& request) {
  const std::string_view host = request.Header("host");
  if (context.loopback && !host.empty() && !IsLoopback(HostName(host))) {
    return ApiError{.status = 421,
                    .message = "this server answers for this machine's own names only"};
  }
  const std::string_view origin = request.Header("origin");
  if (origin.empty()) return std::nullopt;
  if (origin != fmt::format("http://{}", host) && origin != fmt::format("https://{}", host)) {
    return ApiError{.status = 403, .message = "requests of other sites' pages are refused"};
  }
  return std::nullopt;
}

// In constant time: digests of the same length are compared to their end.
bool SameKey(std::string_view given, std::string_view key) {
  const Digest a = Sha256Of(AsBytes(given)), b = Sha256Of(AsBytes(key));
  std::byte difference{};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{};
}

bool HasKey(const ApiContext& context, const HttpRequest& request) {
  if (context.api_key.empty()) return true;
  std::string_view given = request.Header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  const bool bearer = given.size() > kBearer.size() &&
                      std::equal(kBearer.begin(), kBearer.end(), given.begin(), [](char a, char b) {
                        return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b);
                      });
  given = bearer ? given.substr(kBearer.size()) : request.Header("x-api-key");
  return SameKey(given, context.api_key);
}

std::optional<ApiError> ReadBody(const HttpRequest& request, Json& body) {
  std::string type(
      request.Header("content-type").substr(0, request.Header("content-type").find(';')));
  while (type.ends_with(' ')) type.pop_back();
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (type != "application/json") {
    return ApiError{.status = 415, .message = "Content-Type: expected application/json"};
  }
  if (JsonNestsTooDeeply(request.body)) {
    return ApiError{.message =
                        fmt::format("the body nests deeper than {} levels", kJsonNestingMax)};
  }
  body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (body.is_discarded()) return ApiError{.message = "the body is not JSON"};
  if (!body.is_object()) return ApiError{.message = "the body is not a JSON object"};
  return std::nullopt;
}

// Names as they may stand in a header: what may not becomes '?'.
std::string HeaderList(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), kIgnoredNamesMax); ++i) {
    list += i > 0 ? ", " : "";
    for (const char c : names[i].substr(0, 64)) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
      list += plain ? c : '?';
    }
  }
  return names.size() > kIgnoredNamesMax ? list + ", ..." : list;
}

}  // namespace

std::vector<RouteFacts> Routes() {
  std::vector<RouteFacts> facts;
  for (const Route& route : kRoutes) facts.push_back({route.method, route.path, route.open});
  return facts;
}

bool IsOpenRoute(std::string_view method, std::string_view path) {
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [&](const Route& route) {
    return route.method == method && route.path == path.substr(0, path.find('{')) && route.open;
  });
}

std::string FreshId() {
  return fmt::format("{:016x}{:016x}", FreshSeed(), FreshSeed());
}

void ApiCall::Answer(const Json& json) const {
  exchange->Send({.headers = headers, .body = Dump(json)});
}

void ApiCall::Fail(const ApiError& error) const {
  HttpResponse response = ErrorResponse(error);
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
  exchange->Send(std::move(response));
}

bool ApiCall::Check(const Fields& fields) {
  if (!fields.ok()) {
    Fail(*fields.error());
    return false;
  }
  const std::vector<std::string> unknown = fields.Unknown();
  body = nullptr;  // all was read; an answer that takes long need not hold it
  if (unknown.empty()) return true;
  if (context->strict) {
    Fail({.message = fmt::format("{}: no API has a field of this name", unknown.front()),
          .param = unknown.front()});
    return false;
  }
  headers.emplace_back("x-tatara-ignored", HeaderList(unknown));
  return true;
}

void HandleRequest(const ApiContext& context, std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  ApiCall call{.exchange = exchange, .context = &context, .body = Json::object()};
  call.headers.emplace_back("x-request-id", FreshId());
  if (const auto error = CheckWhere(context, request)) return call.Fail(*error);
  if (ServeConsole(call)) return;

  const Route* route = nullptr;
  std::string allowed;
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  for (const Route& each : kRoutes) {
    if (!Matches(each, request.path)) continue;
    if (each.method == method) route = &each;
    allowed = std::string(each.method);
  }
  const bool open = route != nullptr && route->open;
  if (!open && !HasKey(context, request)) {
    call.headers.emplace_back("WWW-Authenticate", "Bearer");
    return call.Fail({.status = 401,
                      .message = "this server wants a key: Authorization: Bearer KEY",
                      .code = "invalid_api_key"});
  }
  if (route == nullptr && !allowed.empty()) {
    call.headers.emplace_back("Allow", allowed);
    return call.Fail({.status = 405, .message = fmt::format("this path takes {}", allowed)});
  }
  if (route == nullptr) return call.Fail({.status = 404, .message = "there is no such path"});
  if (route->path.ends_with('/')) call.rest = request.path.substr(route->path.size());
  if (route->method == "POST") {
    if (const auto error = ReadBody(request, call.body)) return call.Fail(*error);
  }
  try {
    route->endpoint(call);
  } catch (const std::exception&) {  // memory, mostly; the next request may be smaller
    call.Fail({.status = 500, .message = "the request could not be handled"});
  }
}

}  // namespace tatara::server
