#include "web_exchange.h"

#include <signal.h>
#include <strings.h>

#include <charconv>
#include <cstdlib>

#include "tatara/base/utf8.h"
#include "tatara/base/version.h"
#include "url.h"

namespace tatara::weights {
namespace {

constexpr long kConnectTimeoutMs = 5000;
// Slower than 1 kB/s for half a minute counts as broken off.
constexpr long kLowSpeedBytesPerS = 1024;
constexpr long kLowSpeedSeconds = 30;
// Larger than any single file of weights published so far by two orders of magnitude.
constexpr std::uint64_t kDownloadBytesMax = std::uint64_t{1} << 44;

std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 5-9/10" (RFC 9110, 14.4)
void ParseContentRange(std::string_view value, ResponseHead& head) {
  if (!value.starts_with("bytes ")) return;
  value.remove_prefix(6);
  const std::size_t dash = value.find('-');
  const std::size_t slash = value.find('/');
  if (dash == value.npos || slash == value.npos || dash > slash) return;
  head.range_start = ParseNumber(value.substr(0, dash));
  head.range_total = ParseNumber(value.substr(slash + 1));
}

// A TLS library may write to a connection that the other side has closed; without signals of its
// own (CURLOPT_NOSIGNAL) libcurl does not keep that from ending the program.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocked() {
    const timespec now{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t pipe_, before_;
  bool was_pending_ = false;
};

}  // namespace

void Exchange::SetCertificateAuthorities() {
  const auto variable = [](const char* name) -> const char* {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
  };
  if (const char* bundle = variable("CURL_CA_BUNDLE")) {
    curl_easy_setopt(curl_.get(), CURLOPT_CAINFO, bundle);
    return;
  }
  if (const char* file = variable("SSL_CERT_FILE"))
    curl_easy_setopt(curl_.get(), CURLOPT_CAINFO, file);
  if (const char* dir = variable("SSL_CERT_DIR"))
    curl_easy_setopt(curl_.get(), CURLOPT_CAPATH, dir);
}

void Exchange::SetUp() {
  CURL* curl = curl_.get();
  curl_easy_setopt(curl, CURLOPT_URL, url_.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");  // CheckWebAddress narrows http
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kLowSpeedBytesPerS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kLowSpeedSeconds);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, curl_said_);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, fmt::format("tatara/{}", kVersion).c_str());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
  SetCertificateAuthorities();
  if (file_.size() > 0) {
    curl_easy_setopt(curl, CURLOPT_RANGE, fmt::format("{}-", file_.size()).c_str());
    if (!file_.validator().empty()) {
      headers_ = curl_slist_append(headers_, ("If-Range: " + file_.validator()).c_str());
    }
  }
  if (!token_.empty())
    headers_ = curl_slist_append(headers_, ("Authorization: Bearer " + token_).c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers_);
}

std::size_t Exchange::OnHeader(char* data, std::size_t size, std::size_t n, void* self) {
  ResponseHead& head = static_cast<Exchange*>(self)->head_;
  std::string_view line(data, size * n);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    head = {};  // a proxy's or an interim response came before
    const std::size_t space = line.find(' ');
    if (space != line.npos)
      head.status = static_cast<long>(ParseNumber(line.substr(space + 1, 3)).value_or(0));
    return size * n;
  }
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return size * n;
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  const auto is = [&](std::string_view wanted) {
    return name.size() == wanted.size() &&
           ::strncasecmp(name.data(), wanted.data(), name.size()) == 0;
  };
  if (is("content-length")) head.content_length = ParseNumber(value);
  if (is("content-range")) ParseContentRange(value, head);
  if (is("etag") && value.starts_with('"') && value.size() <= 256) head.etag = value;
  return size * n;
}

// Before the first byte of a good response: is it the right piece of the right size, and is there
// room?
Result<> Exchange::BeginBody() {
  if (head_.status == 206 && head_.range_start != file_.size()) {
    return MakeError(ErrorKind::kUnavailable,
                     "{0}: the server sent another piece than was asked for", ShownUrl(url_));
  }
  if (head_.status == 200 && file_.size() > 0) TATARA_RETURN_IF_ERROR(file_.Restart());
  std::optional<std::uint64_t> total = head_.content_length;
  if (total) *total += file_.size();
  if (head_.status == 206 && head_.range_total) total = head_.range_total;
  if (total && *total > kDownloadBytesMax) {
    return Refuse("{0}: {1} bytes, the limit is {2}", ShownUrl(url_), *total, kDownloadBytesMax);
  }
  if (total && request_.n_bytes != 0 && *total != request_.n_bytes) {
    return Refuse("{0}: the server's file has {1} bytes, expected {2}", ShownUrl(url_), *total,
                  request_.n_bytes);
  }
  if (total && *total >= file_.size() && request_.check_room) {
    TATARA_RETURN_IF_ERROR(request_.check_room(*total - file_.size()));
  }
  return file_.Commit(0, head_.etag);
}

std::size_t Exchange::OnBody(char* data, std::size_t size, std::size_t n, void* self_pointer) {
  auto& self = *static_cast<Exchange*>(self_pointer);
  if (self.head_.status != 200 && self.head_.status != 206) return size * n;
  const auto take = [&]() -> Result<> {
    if (!self.body_begun_) {
      self.body_begun_ = true;
      TATARA_RETURN_IF_ERROR(self.BeginBody());
    }
    const std::uint64_t limit =
        self.request_.n_bytes != 0 ? self.request_.n_bytes : kDownloadBytesMax;
    if (self.file_.size() + size * n > limit) {
      return Refuse("{0}: the server sends more than {1} bytes", ShownUrl(self.url_), limit);
    }
    TATARA_RETURN_IF_ERROR(self.file_.Append(AsBytes(std::string_view(data, size * n))));
    self.context_.Report(self.file_.size());
    return Ok{};
  };
  if (auto taken = take(); !taken.ok()) {
    self.error_ = taken.error();
    return 0;
  }
  return size * n;
}

int Exchange::OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(self)->context_.Stopped() ? 1 : 0;
}

Outcome Exchange::JudgeStatus() {
  const std::string shown = ShownUrl(url_);
  const long status = head_.status;
  if (status == 200 || status == 206) {
    if (!body_begun_) {
      if (auto begun = BeginBody(); !begun.ok()) return Fail(begun.error());
    }
    return Outcome::kDone;
  }
  if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
    char* to = nullptr;
    curl_easy_getinfo(curl_.get(), CURLINFO_REDIRECT_URL, &to);
    if (to == nullptr)
      return Fail(MakeError(ErrorKind::kUnavailable, "{0}: a redirect to nowhere", shown));
    redirect_ = to;
    return Outcome::kRedirect;
  }
  if (status == 416) {  // our piece lies beyond its end: the file changed, or we have it all
    if (request_.n_bytes != 0 && file_.size() == request_.n_bytes) return Outcome::kDone;
    if (auto restarted = file_.Restart(); !restarted.ok()) return Fail(restarted.error());
    return Again(MakeError(ErrorKind::kUnavailable, "{0}: the server answered {1}", shown, status));
  }
  if (status == 401 || status == 403) {
    return Fail(MakeError(
        ErrorKind::kUnavailable,
        "{0}: the server answered {1}, access denied (HF_TOKEN holds the key for hf: sources)",
        shown, status));
  }
  if (status == 404 || status == 410) {
    return Fail(MakeError(ErrorKind::kNotFound,
                          "{0}: the server answered {1}, there is no such file", shown, status));
  }
  Error error = MakeError(ErrorKind::kUnavailable, "{0}: the server answered {1}", shown, status);
  return status == 408 || status == 429 || status >= 500 ? Again(error) : Fail(error);
}

Outcome Exchange::Judge(CURLcode code) {
  if (error_) return Outcome::kFailed;  // our own word from OnBody
  if (code == CURLE_ABORTED_BY_CALLBACK) return Fail(StoppedError(ShownUrl(url_)));
  if (code == CURLE_OK) return JudgeStatus();
  const std::string address = AddressOf(url_);
  const std::string said = Printable(*curl_said_ ? curl_said_ : curl_easy_strerror(code));
  long proxy_status = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_HTTP_CONNECTCODE, &proxy_status);
  if (head_.status == 0 &&
      (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
       code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT ||
       code == CURLE_SSL_CONNECT_ERROR || proxy_status >= 400)) {
    context_.unreachable.insert(address);
    return Fail(MakeError(ErrorKind::kUnavailable, "{0} cannot be reached: {1}", address, said));
  }
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
    context_.unreachable.insert(address);
    return Fail(
        MakeError(ErrorKind::kUnavailable,
                  "{0}: its certificate is not trusted: {1} (CURL_CA_BUNDLE names a file with your "
                  "company's certificate authority)",
                  address, said));
  }
  return Again(MakeError(ErrorKind::kUnavailable, "{0}: broken off: {1}", address, said));
}

Outcome Exchange::Run() {
  if (!curl_) return Fail(MakeError(ErrorKind::kIo, "{0}: libcurl cannot start", ShownUrl(url_)));
  if (auto checked = CheckWebAddress(url_); !checked.ok()) return Fail(checked.error());
  const std::string address = AddressOf(url_);
  if (context_.unreachable.contains(address)) {
    context_.was_skipped = true;
    return Fail(MakeError(ErrorKind::kUnavailable, "{0} could not be reached before", address));
  }
  context_.NoteContact(address);
  SetUp();
  const SigpipeBlocked blocked;
  const CURLcode code = curl_easy_perform(curl_.get());
  curl_slist_free_all(headers_);
  return Judge(code);
}

}  // namespace tatara::weights
