#include "web_fetch.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "url.h"
#include "web_exchange.h"

namespace tatara::weights {
namespace {

constexpr int kRedirectsMax = 8;
// Without a byte of progress between them; each waits twice as long as the one before.
constexpr int kAttemptsMax = 4;
// However little each brings.
constexpr int kAttemptsInAllMax = 1000;

// One attempt, redirects included.
Outcome Attempt(const WebRequest& request, PartialFile& file, FetchContext& context,
                std::optional<Error>& error) {
  std::string url = request.url;
  for (int hop = 0; hop <= kRedirectsMax; ++hop) {
    const bool same_host = AddressOf(url) == AddressOf(request.url);
    Exchange exchange(request, url, same_host ? request.token : std::string(), file, context);
    const Outcome outcome = exchange.Run();
    error = exchange.error();
    if (outcome != Outcome::kRedirect) return outcome;
    url = exchange.redirect();
  }
  error = MakeError(ErrorKind::kUnavailable, "{0}: more than {1} redirects", ShownUrl(request.url),
                    kRedirectsMax);
  return Outcome::kFailed;
}

void Pause(int attempt, const FetchContext& context) {
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(context.retry_pause_ms << std::max(attempt - 1, 0));
  while (!context.Stopped() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

Result<> FetchWeb(const WebRequest& request, PartialFile& file, FetchContext& context) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) {
    return MakeError(ErrorKind::kIo, "{0}: libcurl cannot start", ShownUrl(request.url));
  }
  // Without a digest only the server's own name for its version makes old and new bytes one file.
  if (!request.digest_is_known && file.validator().empty()) TATARA_RETURN_IF_ERROR(file.Restart());
  if (request.n_bytes != 0 && file.size() > request.n_bytes) TATARA_RETURN_IF_ERROR(file.Restart());
  if (request.n_bytes != 0 && file.size() == request.n_bytes) return Ok{};
  int attempt = 0;
  for (int in_all = 1;; ++in_all) {
    const std::uint64_t before = file.size();
    std::optional<Error> error;
    const Outcome outcome = Attempt(request, file, context, error);
    if (outcome == Outcome::kDone) {
      if (request.n_bytes == 0 || file.size() == request.n_bytes) return Ok{};
      error = Refuse("{0}: the server's file has {1} bytes, expected {2}", ShownUrl(request.url),
                     file.size(), request.n_bytes);
    }
    if (outcome == Outcome::kFailed) return *error;
    attempt = file.size() > before ? 0 : attempt + 1;
    if (attempt == kAttemptsMax || in_all == kAttemptsInAllMax) return *error;
    Pause(attempt, context);
    if (context.Stopped()) return StoppedError(ShownUrl(request.url));
  }
}

}  // namespace tatara::weights
