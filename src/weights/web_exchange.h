// One HTTP request of a fetch, by libcurl: what is asked, what of the answer reaches the file, what
// the outcome means. web_fetch.h puts requests together. Thread safety: one object, one thread.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fetch_context.h"
#include "partial_file.h"
#include "tatara/base/error.h"
#include "web_fetch.h"

namespace tatara::weights {

// What one response says before its body.
struct ResponseHead {
  long status = 0;
  std::optional<std::uint64_t> content_length;
  std::optional<std::uint64_t> range_start, range_total;
  std::string etag;  // strong ones only: a weak one does not promise the same bytes
};

enum class Outcome { kDone, kRedirect, kTryAgain, kFailed };

// One request. Bytes of a good response go to the file; of others nowhere.
class Exchange {
 public:
  Exchange(const WebRequest& request, std::string url, std::string token, PartialFile& file,
           FetchContext& context)
      : request_(request),
        url_(std::move(url)),
        token_(std::move(token)),
        file_(file),
        context_(context),
        curl_(curl_easy_init(), &curl_easy_cleanup) {}

  Outcome Run();
  const std::string& redirect() const { return redirect_; }
  const std::optional<Error>& error() const { return error_; }

 private:
  void SetUp();
  void SetCertificateAuthorities();
  Result<> BeginBody();
  Outcome Judge(CURLcode code);
  Outcome JudgeStatus();
  Outcome Fail(Error error) {
    error_ = std::move(error);
    return Outcome::kFailed;
  }
  Outcome Again(Error error) {
    error_ = std::move(error);
    return Outcome::kTryAgain;
  }

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t n, void* self);
  static std::size_t OnBody(char* data, std::size_t size, std::size_t n, void* self);
  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

  const WebRequest& request_;
  const std::string url_;
  const std::string token_;
  PartialFile& file_;
  FetchContext& context_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_;
  curl_slist* headers_ = nullptr;
  char curl_said_[CURL_ERROR_SIZE] = "";
  ResponseHead head_;
  bool body_begun_ = false;
  std::string redirect_;
  std::optional<Error> error_;
};

}  // namespace tatara::weights
