#include "url.h"
#include "tatara/base/utf8.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <memory>

namespace tatara::weights {
namespace {

class Url {
 public:
  explicit Url(std::string_view text) : url_(curl_url(), &curl_url_cleanup) {
    ok_ = url_ && curl_url_set(url_.get(), CURLUPART_URL, std::string(text).c_str(),
                               CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  }
  bool ok() const { return ok_; }
  std::string Part(CURLUPart part, unsigned flags = 0) const {
    char* value = nullptr;
    if (!ok_ || curl_url_get(url_.get(), part, &value, flags) != CURLUE_OK) return {};
    std::string out = value;
    curl_free(value);
    return out;
  }

 private:
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> url_;
  bool ok_ = false;
};

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  in_addr v4;
  return inet_pton(AF_INET, host.c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

}  // namespace

Result<> CheckWebAddress(std::string_view text) {
  const Url url(text);
  const std::string scheme = url.Part(CURLUPART_SCHEME);
  const std::string host = url.Part(CURLUPART_HOST);
  if (!url.ok() || host.empty()) return Refuse("'{0}' is not a web address", Printable(text));
  if (!url.Part(CURLUPART_USER).empty() || !url.Part(CURLUPART_PASSWORD).empty()) {
    return Refuse("{0}: an address with a user name or password is not accepted", ShownUrl(text));
  }
  if (scheme == "https" || (scheme == "http" && IsLoopback(host))) return Ok{};
  return Refuse("{0}: only https is used (http for this machine's own addresses)", ShownUrl(text));
}

std::string AddressOf(std::string_view text) {
  const Url url(text);
  const std::string host = url.Part(CURLUPART_HOST);
  if (host.empty()) return {};
  return fmt::format("{}://{}:{}", url.Part(CURLUPART_SCHEME), host,
                     url.Part(CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::string ShownUrl(std::string_view text) {
  const Url url(text);
  const std::string host = url.Part(CURLUPART_HOST);
  if (host.empty()) return Printable(text);
  const std::string port = url.Part(CURLUPART_PORT);
  return fmt::format("{}://{}{}{}{}", url.Part(CURLUPART_SCHEME), host, port.empty() ? "" : ":",
                     port, url.Part(CURLUPART_PATH));
}

std::string EncodePath(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace tatara::weights
