// The APIs over HTTP: routes, who may call, and one function for each endpoint. JSON ends here.
// Thread safety: handlers of one exchange never run at the same time, different ones do.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "access.h"
#include "http.h"
#include "json_fields.h"
#include "server_stats.h"
#include "tatara/assistant/history.h"
#include "tatara/assistant/service.h"

namespace tatara::server {

// Of the connections; empty where there are none.
struct HttpCounts {
  std::function<int()> connections;
  std::function<std::int64_t()> connections_refused;
};

// What all requests share. Immutable: a change of settings makes the next one.
struct ApiContext {
  assistant::Service* service = nullptr;
  assistant::History* history = nullptr;  // null: none is kept
  bool strict = false;
  // Work that takes long is done on the service's threads (ApiCall::HandOver); false: in place.
  bool hands_over = false;
  std::shared_ptr<const ServerOptions> options = std::make_shared<const ServerOptions>();
  std::shared_ptr<Sessions> sessions = std::make_shared<Sessions>();
  std::shared_ptr<ServerStats> stats = std::make_shared<ServerStats>();
  std::shared_ptr<const HttpCounts> http = std::make_shared<const HttpCounts>();
};

class WatchedExchange;

// A request on its way through an endpoint.
struct ApiCall {
  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<WatchedExchange> watched;  // the same
  std::shared_ptr<const ApiContext> context;
  assistant::Caller caller;
  OriginKind origin = OriginKind::kNone;
  Json body;         // an object; empty for GET
  std::string rest;  // of the path, behind the route's prefix
  Headers headers;   // that the answer carries
  // What logs, metrics and traces will say of it; endpoints that use a model add what they know.
  std::shared_ptr<RequestFacts> facts = std::make_shared<RequestFacts>();
  std::shared_ptr<std::atomic<bool>> counted;  // among the requests of its key that are in flight

  void Answer(const Json& json) const;
  void Fail(const ApiError& error) const;
  // False, and answered, where a field was wrong or (strict) unknown. Else names the ignored ones
  // in the answer's headers and lets go of the body.
  bool Check(const Fields& fields);
  // Goes on in `work` on another thread, which has the exchange's turn until `work` returns: for
  // templates, long texts and large bodies, so that no connection waits for another's. Answered
  // with 429 where too much waits. The last that a function does.
  void HandOver(std::function<void()> work) const;
};

// Checks Host, Origin, key, method and content type, reads the body and calls the endpoint.
void HandleRequest(std::shared_ptr<const ApiContext> context, std::shared_ptr<Exchange> exchange);

// 32 hexadecimal digits that nobody can guess.
std::string FreshId();

void ChatCompletions(ApiCall call);
void Completions(ApiCall call);
void Ask(ApiCall call);
void Embeddings(ApiCall call);
void Rerank(ApiCall call);
void Tokenize(ApiCall call);
void Detokenize(ApiCall call);
void ApplyTemplate(ApiCall call);
void ListModels(ApiCall call);
void OneModel(ApiCall call);
void OneReceipt(ApiCall call);
void DeleteReceipt(ApiCall call);
void ForgetAll(ApiCall call);
void ListConversations(ApiCall call);
void CreateConversation(ApiCall call);
void DeleteConversations(ApiCall call);
void SearchConversations(ApiCall call);
void GetConversation(ApiCall call);
void PostConversation(ApiCall call);
void DeleteConversation(ApiCall call);
void Metrics(ApiCall call);
void GetSession(ApiCall call);
void BeginSession(ApiCall call);
void EndSession(ApiCall call);
void Health(ApiCall call);
void Ready(ApiCall call);
void OpenApiJson(ApiCall call);

// The table of routes, for the document that describes them.
struct RouteFacts {
  std::string_view method, path;  // ending in '/': a prefix of more
  bool open = false;              // to everybody, key or none
};
std::vector<RouteFacts> Routes();
// `path` may go on with "{name}" where the route is a prefix.
bool IsOpenRoute(std::string_view method, std::string_view path);

}  // namespace tatara::server
