#include "console.h"

#include <algorithm>

#include "console_files.h"

namespace tatara::server {
namespace {

// No script, style or frame but our own, nothing inline, nothing from other hosts; text never
// becomes markup (trusted types). Images may be pictures that the page itself made.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self' data: blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The parts between commas, trimmed, one after the other; an end without any is empty.
std::string_view NextPart(std::string_view& list) {
  const std::size_t comma = std::min(list.find(','), list.size());
  const std::string_view part = Trimmed(list.substr(0, comma));
  list.remove_prefix(std::min(comma + 1, list.size()));
  return part;
}

bool SameIgnoringCase(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x) == y;
  });
}

// "q=0", "q=0.0" and so on: this coding is not wanted.
bool IsZeroQuality(std::string_view parameters) {
  const std::size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view value = Trimmed(parameters.substr(q + 2));
  return !value.empty() && value.find_first_not_of("0.") == std::string_view::npos;
}

const ConsoleFile* Find(std::string_view path) {
  for (const ConsoleFile& file : ConsoleFiles()) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

}  // namespace

bool AcceptsGzip(std::string_view accept_encoding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    const std::string_view part = NextPart(accept_encoding);
    const std::size_t semicolon = std::min(part.find(';'), part.size());
    const std::string_view coding = Trimmed(part.substr(0, semicolon));
    const bool wanted = !IsZeroQuality(part.substr(semicolon));
    if (SameIgnoringCase(coding, "gzip") || SameIgnoringCase(coding, "x-gzip")) return wanted;
    if (coding == "*") any = wanted;
  }
  return any;
}

bool NamesEtag(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    std::string_view part = NextPart(if_none_match);
    if (part == "*") return true;
    if (part.starts_with("W/")) part.remove_prefix(2);
    if (part == etag) return true;
  }
  return false;
}

bool ServeConsole(const ApiCall& call) {
  const HttpRequest& request = call.exchange->request();
  if (request.method != "GET" && request.method != "HEAD") return false;
  const ConsoleFile* file = Find(request.path);
  if (file == nullptr) return false;
  HttpResponse response{.content_type = std::string(file->content_type), .headers = call.headers};
  Headers& headers = response.headers;
  headers.emplace_back("ETag", file->etag);
  headers.emplace_back("Vary", "Accept-Encoding");
  headers.emplace_back("Cache-Control",
                       file->named_by_content ? "public, max-age=31536000, immutable" : "no-cache");
  headers.emplace_back("Content-Security-Policy", kPolicy);
  headers.emplace_back("Referrer-Policy", "no-referrer");
  headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  if (NamesEtag(request.Header("if-none-match"), file->etag)) {
    response.status = 304;
  } else if (AcceptsGzip(request.Header("accept-encoding"))) {
    headers.emplace_back("Content-Encoding", "gzip");
    response.body = file->gzip;
  } else {
    response.body = file->plain;
  }
  call.exchange->Send(std::move(response));
  return true;
}

}  // namespace tatara::server
