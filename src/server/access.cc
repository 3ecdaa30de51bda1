#include "access.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "api.h"
#include "tatara/base/sha256.h"

namespace tatara::server {
namespace {

constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kPreflightHeadersBytesMax = 1024;
constexpr std::string_view kKeyPrefix = "tatara-";

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string LowerCase(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), Lower);
  return out;
}

// "name:port" and "[::1]:port" without the port and a final dot, in lower case.
std::string HostName(std::string_view host) {
  if (host.starts_with('[')) return LowerCase(host.substr(1, host.find(']') - 1));
  host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return LowerCase(host);
}

// A browser that follows a name never sends an address, so an address can not have been rebound.
bool IsAddress(std::string_view host_header, const std::string& name) {
  if (host_header.starts_with('[')) return true;
  return !name.empty() && name.find_first_not_of("0123456789.") == std::string::npos;
}

const std::string& MachineName() {
  static const std::string name = [] {
    std::array<char, kNameBytesMax + 1> text{};
    return ::gethostname(text.data(), kNameBytesMax) == 0 ? LowerCase(text.data()) : std::string();
  }();
  return name;
}

bool IsIn(const std::vector<std::string>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& one) { return LowerCase(one) == text; });
}

}  // namespace

std::string Sessions::Begin(assistant::Caller caller) {
  const std::string id = FreshId() + FreshId();
  const std::lock_guard lock(mutex_);
  const std::int64_t now = Now();
  if (by_digest_.size() >= kSessionsMax) {
    std::erase_if(by_digest_,
                  [&](const auto& entry) { return now - entry.second.begun >= kWholeSeconds; });
  }
  if (by_digest_.size() >= kSessionsMax) {
    by_digest_.erase(std::min_element(
        by_digest_.begin(), by_digest_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }
  by_digest_[Sha256Hex(id)] = {.caller = std::move(caller), .begun = now, .used = now};
  return id;
}

std::optional<assistant::Caller> Sessions::Find(std::string_view id, double idle_seconds) {
  const std::string digest = Sha256Hex(id);
  const std::lock_guard lock(mutex_);
  const auto it = by_digest_.find(digest);
  if (it == by_digest_.end()) return std::nullopt;
  const std::int64_t now = Now();
  if (now - it->second.begun >= kWholeSeconds ||
      static_cast<double>(now - it->second.used) >= idle_seconds) {
    by_digest_.erase(it);
    return std::nullopt;
  }
  it->second.used = now;
  return it->second.caller;
}

void Sessions::End(std::string_view id) {
  const std::string digest = Sha256Hex(id);
  const std::lock_guard lock(mutex_);
  by_digest_.erase(digest);
}

std::size_t Sessions::size() const {
  const std::lock_guard lock(mutex_);
  return by_digest_.size();
}

std::string CookieForm::Name() const {
  // A browser takes a name that begins so only over TLS, for the whole host, from the host itself.
  return fmt::format("{}tatara_session_{}", secure ? "__Host-" : "", port);
}

std::string CookieForm::Set(std::string_view id) const {
  std::string value = fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict", Name(), id);
  if (secure) value += "; Secure";
  if (id.empty()) value += "; Max-Age=0";
  return value;
}

CookieForm CookieFormOf(const ServerOptions& options) {
  return {.port = options.port, .secure = options.cookies_secure};
}

std::string_view CookieValue(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    const std::size_t end = header.find(';');
    std::string_view pair = header.substr(0, end);
    header = end == std::string_view::npos ? std::string_view() : header.substr(end + 1);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.starts_with(name) && pair.size() > name.size() && pair[name.size()] == '=') {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

bool HostIsOurs(const ServerOptions& options, std::string_view host_header) {
  if (host_header.empty()) return true;  // of HTTP/1.0; browsers always send it
  if (host_header.size() > kNameBytesMax + 8) return false;
  const std::string name = HostName(host_header);
  if (IsLoopback(name) || IsIn(options.hosts, name)) return true;
  if (IsLoopback(options.host)) return false;
  return IsAddress(host_header, name) || (!name.empty() && name == MachineName());
}

Headers HstsHeaders(const ServerOptions& options, const HttpRequest& request) {
  if (options.tls_certificate.empty() || options.hsts_seconds <= 0) return {};
  const std::string_view host = request.Header("host");
  const std::string name = HostName(host);
  if (name.empty() || IsLoopback(name) || IsAddress(host, name)) return {};
  return {{"Strict-Transport-Security", fmt::format("max-age={}", options.hsts_seconds)}};
}

OriginKind KindOfOrigin(const ServerOptions& options, const HttpRequest& request) {
  const std::string_view origin = request.Header("origin");
  if (origin.empty()) return OriginKind::kNone;
  const std::string_view host = request.Header("host");
  if (origin == fmt::format("http://{}", host) || origin == fmt::format("https://{}", host)) {
    return OriginKind::kOwn;
  }
  const auto& allowed = options.cors_origins;
  return std::find(allowed.begin(), allowed.end(), origin) != allowed.end() ? OriginKind::kAllowed
                                                                            : OriginKind::kForeign;
}

std::string_view GivenKey(const HttpRequest& request) {
  const std::string_view given = request.Header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  const bool bearer =
      given.size() > kBearer.size() && std::equal(kBearer.begin(), kBearer.end(), given.begin(),
                                                  [](char a, char b) { return a == Lower(b); });
  return bearer ? given.substr(kBearer.size()) : request.Header("x-api-key");
}

std::optional<assistant::Caller> Admit(const ServerOptions& options, Sessions& sessions,
                                       const HttpRequest& request, OriginKind origin) {
  const auto everybody = [&] {
    return options.require_key ? std::nullopt : std::optional(assistant::Caller{});
  };
  if (!options.keys) return everybody();
  if (const std::string_view key = GivenKey(request); !key.empty()) {
    if (auto caller = options.keys->Check(key)) return caller;
    return key.starts_with(kKeyPrefix) ? std::nullopt : everybody();
  }
  const std::string_view id = CookieValue(request.Header("cookie"), CookieFormOf(options).Name());
  // Browsers that know Sec-Fetch-Site say who began the request, even where Origin is left out.
  const std::string_view site = request.Header("sec-fetch-site");
  const bool same_site = site.empty() || site == "same-origin" || site == "none";
  if (id.empty() || origin == OriginKind::kAllowed || !same_site) return everybody();
  auto caller = sessions.Find(id, options.session_idle_seconds);
  if (caller && !options.keys->StillValid(caller->key)) {
    sessions.End(id);
    caller.reset();
  }
  return caller ? caller : everybody();
}

Headers CorsHeaders(const HttpRequest& request) {
  return {{"Access-Control-Allow-Origin", std::string(request.Header("origin"))},
          {"Access-Control-Expose-Headers",
           "x-request-id, x-tatara-receipt, x-tatara-ignored, Retry-After"},
          {"Vary", "Origin"}};
}

HttpResponse PreflightAnswer(const HttpRequest& request) {
  HttpResponse response{.status = 204, .headers = CorsHeaders(request)};
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE");
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  // Clients of the reference API send headers of their own; what they say is read nowhere here.
  std::string wanted;
  for (const char c :
       request.Header("access-control-request-headers").substr(0, kPreflightHeadersBytesMax)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == ',' || c == ' ';
    if (plain) wanted += c;
  }
  if (!wanted.empty()) response.headers.emplace_back("Access-Control-Allow-Headers", wanted);
  return response;
}

}  // namespace tatara::server
