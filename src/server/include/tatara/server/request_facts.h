// What is known of a request when it has ended: for logs, metrics and traces. Never a key and no
// text of prompts or answers, but for `body` where the owner of the machine asked for it.
// Thread safety: values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/assistant/service.h"

namespace tatara::server {

struct RequestFacts {
  std::string id;  // as in the answer's x-request-id
  std::string method;
  std::string_view route;   // "/v1/receipts/": the route, not the path; empty where there is none
  std::string peer;         // address of the connection
  std::string traceparent;  // as the caller sent it (W3C Trace Context)
  assistant::Caller caller;
  int status = 0;  // 499: the client left before the answer was whole
  std::int64_t begun_unix_ns = 0;
  double seconds = 0;              // from the whole request to the whole answer
  double first_byte_seconds = -1;  // to the first event of a stream, or the whole answer
  std::string body;  // only with ServerOptions::log_bodies, cut at kLoggedBodyBytesMax
  // Of requests that a model answered.
  std::string model;
  std::string answer_id;
  int prompt_tokens = -1, cached_tokens = -1, completion_tokens = -1;  // -1: not known
  std::vector<std::string> finish_reasons;
  bool streamed = false, samples = false;
  double temperature = 1, top_p = 1;  // where it samples
  int tokens_max = 0;                 // 0: not given
};

inline constexpr std::size_t kLoggedBodyBytesMax = 16U << 10;
inline constexpr int kStatusLeft = 499;

// Called once for each request, from any thread; must not wait.
using RequestObserver = std::function<void(const RequestFacts&)>;

}  // namespace tatara::server
