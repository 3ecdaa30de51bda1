// A span for each request, sent to the OpenTelemetry collector that the configuration names: OTLP
// over HTTP in JSON (opentelemetry.io/docs/specs/otlp), attributes of the semantic conventions for
// HTTP servers and for generative AI. No text of prompts or answers, no key.
// A request never waits for the collector: spans queue up to a bound; what is beyond it is
// dropped, what could not be sent in kAttemptsMax attempts has failed, and both are counted.
// Thread safety: every function from any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "tatara/base/error.h"
#include "tatara/server/config.h"
#include "tatara/server/request_facts.h"
#include "tatara/server/server.h"

namespace tatara::server {

class Tracer {
 public:
  static constexpr std::size_t kBatchMax = 256;
  static constexpr int kAttemptsMax = 3;
  static constexpr int kSendSecondsMax = 10;
  static constexpr int kLastSendSecondsMax = 2;  // at the end, for what waits

  static Result<std::unique_ptr<Tracer>> Start(const TracingSettings& settings);
  ~Tracer();

  // Requests of the page's files, of health and of metrics make no span.
  void Request(const RequestFacts& facts);

  SpanCounts counts() const;

 private:
  struct State;
  explicit Tracer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tatara::server
