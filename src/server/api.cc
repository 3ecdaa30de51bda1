#include "api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "console.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/philox.h"
#include "watched_exchange.h"

namespace tatara::server {
namespace {

constexpr std::size_t kIgnoredNamesMax = 32;
// A larger one is read on another thread: at some hundred megabytes a second this takes as long as
// a few short requests.
constexpr std::size_t kBodyBytesInPlace = 32U << 10;
constexpr std::string_view kTooManyOfKey = "too_many_requests_of_key";

struct RouteRow {
  std::string_view method;
  std::string_view path;  // ending in '/': a prefix of more
  void (*endpoint)(ApiCall);
  bool open = false;             // to everybody, key or none
  std::string_view ending = "";  // of a path behind a prefix
};
constexpr RouteRow kRoutes[] = {
    {"GET", "/health", Health, true},
    {"GET", "/ready", Ready, true},
    {"GET", "/metrics", Metrics},
    {"GET", "/openapi.json", OpenApiJson},
    {"GET", "/v1/session", GetSession, true},
    {"POST", "/v1/session", BeginSession, true},
    {"DELETE", "/v1/session", EndSession, true},
    {"GET", "/v1/models", ListModels},
    {"GET", "/v1/models/", OneModel},
    {"GET", "/v1/receipts/", OneReceipt},
    {"DELETE", "/v1/receipts/", DeleteReceipt},
    {"DELETE", "/v1/receipts", ForgetAll},
    {"POST", "/v1/chat/completions", ChatCompletions},
    {"POST", "/v1/completions", Completions},
    {"POST", "/v1/ask", Ask},
    {"POST", "/v1/embeddings", Embeddings},
    {"POST", "/v1/rerank", Rerank},
    {"POST", "/tokenize", Tokenize},
    {"POST", "/detokenize", Detokenize},
    {"POST", "/apply-template", ApplyTemplate},
    {"GET", "/v1/conversations", ListConversations},
    {"POST", "/v1/conversations", CreateConversation},
    {"DELETE", "/v1/conversations", DeleteConversations},
    {"GET", "/v1/conversations/", GetConversation},
    {"GET", "/v1/conversations/", GetConversation, false, "/export.md"},
    {"GET", "/v1/conversations/", GetConversation, false, "/export.json"},
    {"POST", "/v1/conversations/", PostConversation},
    {"POST", "/v1/conversations/", PostConversation, false, "/messages"},
    {"DELETE", "/v1/conversations/", DeleteConversation},
    {"POST", "/v1/conversations/search", SearchConversations},
};

// How closely a route fits: a whole path more than a prefix with an ending, that more than a prefix
// alone. 0: not at all.
int Fit(const RouteRow& route, std::string_view path) {
  if (!route.path.ends_with('/')) return path == route.path ? 3 : 0;
  if (path.size() <= route.path.size() + route.ending.size()) return 0;
  if (!path.starts_with(route.path) || !path.ends_with(route.ending)) return 0;
  return route.ending.empty() ? 1 : 2;
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
  for (const RouteRow& route : kRoutes) facts.push_back({route.method, route.path, route.open});
  return facts;
}

bool IsOpenRoute(std::string_view method, std::string_view path) {
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [&](const RouteRow& route) {
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
  if (error.status == 429) {
    const bool of_key = error.code == kTooManyOfKey;
    response.headers.emplace_back(
        "Retry-After",
        fmt::format("{}", context->stats->RetryAfterSeconds(of_key ? &caller : nullptr)));
  }
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

namespace {

// Memory, mostly; the next request may be smaller.
template <typename Work>
void Guarded(const ApiCall& call, const Work& work) {
  try {
    work();
  } catch (const std::exception&) {
    call.Fail({.status = 500, .message = "the request could not be handled"});
  }
}

}  // namespace

void ApiCall::HandOver(std::function<void()> work) const {
  if (!context->hands_over) return work();
  watched->OnGone([] {});  // whether the client has left is asked before it is worked for
  if (!watched->GiveAway()) return work();
  const auto posted = context->service->Post(caller, [call = *this, work = std::move(work)] {
    if (!call.watched->left()) Guarded(call, work);
    call.watched->TakeBack();
  });
  if (posted.ok()) return;
  watched->TakeBack();
  Fail(ApiErrorOf(posted.error()));
}

namespace {

struct Found {
  const RouteRow* route = nullptr;
  std::string allowed;  // methods of this path
};

Found FindRoute(const HttpRequest& request) {
  Found found;
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  int best = 1;
  for (const RouteRow& each : kRoutes) best = std::max(best, Fit(each, request.path));
  for (const RouteRow& each : kRoutes) {
    if (Fit(each, request.path) != best) continue;
    if (each.method == method) found.route = &each;
    found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(each.method);
  }
  return found;
}

void CallEndpoint(const RouteRow& route, ApiCall& call) {
  const HttpRequest& request = call.exchange->request();
  if (route.path.ends_with('/')) call.rest = request.path.substr(route.path.size());
  if (route.method != "POST") return Guarded(call, [&] { route.endpoint(call); });
  const auto run = [&route](ApiCall posted) {
    if (const auto error = ReadBody(posted.exchange->request(), posted.body)) {
      return posted.Fail(*error);
    }
    route.endpoint(posted);
  };
  if (request.body.size() <= kBodyBytesInPlace) return Guarded(call, [&] { run(call); });
  call.HandOver([run, call] { run(call); });
}

}  // namespace

namespace {

// Whether the request may go on to its route; answered where not.
bool ComesIn(ApiCall& call, const Found& found) {
  const ServerOptions& options = *call.context->options;
  auto caller = Admit(options, *call.context->sessions, call.exchange->request(), call.origin);
  const bool open = found.route != nullptr && found.route->open;
  if (!caller && !open) {
    call.headers.emplace_back("WWW-Authenticate", "Bearer");
    call.Fail({.status = 401,
               .message = "this server wants a key: Authorization: Bearer KEY",
               .code = "invalid_api_key"});
    return false;
  }
  if (caller) call.caller = std::move(*caller);
  call.facts->caller = call.caller;
  if (!open && !call.context->stats->Enter(call.caller, options.requests_per_key_max)) {
    call.Fail({.status = 429,
               .message = fmt::format("this key has {} requests in flight, the most it may have",
                                      options.requests_per_key_max),
               .code = std::string(kTooManyOfKey)});
    return false;
  }
  call.counted->store(!open);
  return true;
}

// The order matters: a name that is not ours is told nothing; a foreign page nothing but that; a
// preflight carries no key; without a key nobody learns which paths there are.
void Route(ApiCall& call) {
  const HttpRequest& request = call.exchange->request();
  const ServerOptions& options = *call.context->options;
  if (!HostIsOurs(options, request.Header("host"))) {
    return call.Fail({.status = 421,
                      .message = "this server is not known by the name that Host gives; names are "
                                 "set in its configuration (hosts)"});
  }
  for (auto& header : HstsHeaders(options, request)) call.headers.push_back(std::move(header));
  call.origin = KindOfOrigin(options, request);
  if (call.origin == OriginKind::kForeign) {
    return call.Fail({.status = 403, .message = "requests of other sites' pages are refused"});
  }
  if (call.origin == OriginKind::kAllowed) {
    if (request.method == "OPTIONS") return call.exchange->Send(PreflightAnswer(request));
    for (auto& header : CorsHeaders(request)) call.headers.push_back(std::move(header));
  }
  call.facts->route = "page";
  if (ServeConsole(call)) return;
  call.facts->route = {};
  const Found found = FindRoute(request);
  if (found.route != nullptr) call.facts->route = found.route->path;
  // Who signs in sends a key, and no log holds one.
  if (options.log_bodies && call.facts->route != "/v1/session") {
    call.facts->body = request.body.substr(0, kLoggedBodyBytesMax);
  }
  if (!ComesIn(call, found)) return;
  if (found.route == nullptr && !found.allowed.empty()) {
    call.headers.emplace_back("Allow", found.allowed);
    return call.Fail({.status = 405, .message = fmt::format("this path takes {}", found.allowed)});
  }
  if (found.route == nullptr) return call.Fail({.status = 404, .message = "there is no such path"});
  CallEndpoint(*found.route, call);
}

}  // namespace

void HandleRequest(std::shared_ptr<const ApiContext> context, std::shared_ptr<Exchange> exchange) {
  const auto counted = std::make_shared<std::atomic<bool>>(false);
  const auto watched = std::make_shared<WatchedExchange>(
      std::move(exchange), [context, counted](const RequestFacts& facts) {
        if (counted->exchange(false)) context->stats->Leave(facts.caller);
        context->stats->Count(facts);
        if (context->options->on_request) context->options->on_request(facts);
      });
  ApiCall call{.exchange = watched,
               .watched = watched,
               .context = context,
               .body = Json::object(),
               .facts = watched->facts,
               .counted = counted};
  call.facts->id = FreshId();
  call.headers.emplace_back("x-request-id", call.facts->id);
  Route(call);
}

}  // namespace tatara::server
