// GET, POST, DELETE /v1/session: whether a key is needed, signing in with one, signing out.
#include "access.h"
#include "api.h"
#include "session_fields.h"

namespace tatara::server {
namespace {

Json CallerJson(const assistant::Caller& caller) {
  return {{"key_id", caller.key}, {"tenant", caller.tenant}};
}

Json SessionJson(const ApiCall& call, const std::optional<assistant::Caller>& caller) {
  return {{"object", "session"},
          {"key_required", call.context->options->require_key},
          {"signed_in", caller.has_value()},
          {"caller", caller ? CallerJson(*caller) : Json()}};
}

std::string_view SessionId(const ApiCall& call) {
  return CookieValue(call.exchange->request().Header("cookie"),
                     CookieFormOf(*call.context->options).Name());
}

}  // namespace

void GetSession(ApiCall call) {
  const ServerOptions& options = *call.context->options;
  const auto caller =
      Admit(options, *call.context->sessions, call.exchange->request(), OriginKind::kOwn);
  call.headers.emplace_back("Cache-Control", "no-store");
  call.Answer(SessionJson(call, caller));
}

void BeginSession(ApiCall call) {
  const ServerOptions& options = *call.context->options;
  Fields fields(call.body);
  const std::string key = fields.Text(kSessionKey);
  if (key.empty()) fields.Wrong("key", "is missing");
  if (!call.Check(fields)) return;
  // Another site's page must not sign its visitor in here, as somebody else.
  if (call.origin == OriginKind::kAllowed) {
    return call.Fail({.status = 403, .message = "only this server's own page signs in"});
  }
  const auto caller = options.keys ? options.keys->Check(key) : std::nullopt;
  if (!caller) {
    return call.Fail({.status = 401, .message = "this is no valid key", .code = "invalid_api_key"});
  }
  if (const std::string_view old = SessionId(call); !old.empty()) call.context->sessions->End(old);
  const std::string id = call.context->sessions->Begin(*caller);
  call.headers.emplace_back("Set-Cookie", CookieFormOf(options).Set(id));
  call.headers.emplace_back("Cache-Control", "no-store");
  call.Answer(SessionJson(call, caller));
}

void EndSession(ApiCall call) {
  if (const std::string_view id = SessionId(call); !id.empty()) call.context->sessions->End(id);
  call.headers.emplace_back("Set-Cookie", CookieFormOf(*call.context->options).Set(""));
  call.Answer(SessionJson(call, std::nullopt));
}

}  // namespace tatara::server
