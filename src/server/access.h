// Who may ask for what: names under which this server is reached, origins of web pages, keys and
// the page's cookie. Thread safety: free functions over values; Sessions from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "http.h"
#include "json_fields.h"
#include "tatara/assistant/service.h"
#include "tatara/base/clock.h"
#include "tatara/server/server.h"

namespace tatara::server {

// Who has signed in at the page. A session's id is 256 bits that nobody can guess; kept is its
// digest, so what a lookup's time may tell is of no use.
class Sessions {
 public:
  static constexpr std::size_t kSessionsMax = 10'000;  // the one that ends first makes room
  static constexpr std::int64_t kWholeSeconds = 7 * 24 * 3600;

  explicit Sessions(const Clock& clock = SystemClock()) : clock_(clock) {}
  // The id for the cookie.
  std::string Begin(assistant::Caller caller);
  // Ends after `idle_seconds` without use, and after kWholeSeconds in any case.
  std::optional<assistant::Caller> Find(std::string_view id, double idle_seconds);
  void End(std::string_view id);
  std::size_t size() const;

 private:
  struct Session {
    assistant::Caller caller;
    std::int64_t begun = 0, used = 0;  // monotonic seconds
  };
  std::int64_t Now() const { return clock_.MonotonicNanoseconds() / 1'000'000'000; }
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Session> by_digest_;
};

// The cookie's name carries the port, since cookies of one host are seen by all its ports.
struct CookieForm {
  int port = 0;
  bool secure = false;
  std::string Name() const;
  // The value of Set-Cookie; an empty id ends the cookie.
  std::string Set(std::string_view id) const;
};
CookieForm CookieFormOf(const ServerOptions& options);
// Of the cookie of this name; empty where it is not sent.
std::string_view CookieValue(std::string_view cookie_header, std::string_view name);

// A page of another site may send a browser here under a name that it made point to this machine
// (DNS rebinding): Host names this server by an address, by a name of this machine or one of
// options.hosts, or it is turned away. Behind an address on loopback only loopback names count.
bool HostIsOurs(const ServerOptions& options, std::string_view host_header);

enum class OriginKind {
  kNone,     // no web page, or a browser's plain navigation
  kOwn,      // a page of this server
  kAllowed,  // one of options.cors_origins
  kForeign,
};
OriginKind KindOfOrigin(const ServerOptions& options, const HttpRequest& request);

// "authorization: Bearer KEY" or "x-api-key: KEY"; empty where neither is sent.
std::string_view GivenKey(const HttpRequest& request);

// Nothing where the caller has no right to come in. A key of ours that is wrong is refused even
// where none is needed, or a revoked one would go on as somebody else; what other programs send
// where they must send something is no key of ours.
std::optional<assistant::Caller> Admit(const ServerOptions& options, Sessions& sessions,
                                       const HttpRequest& request, OriginKind origin);

// Strict-Transport-Security (RFC 6797) where this server speaks TLS, is asked for by a name beyond
// loopback and hsts_seconds says so; else nothing. For addresses browsers do not heed it, and on
// loopback it would turn them away from other programs' ports.
Headers HstsHeaders(const ServerOptions& options, const HttpRequest& request);

// Answers to pages of allowed origins.
Headers CorsHeaders(const HttpRequest& request);
HttpResponse PreflightAnswer(const HttpRequest& request);

}  // namespace tatara::server
