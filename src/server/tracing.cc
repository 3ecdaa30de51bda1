#include "tatara/server/tracing.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "tatara/base/clock.h"
#include "tatara/base/philox.h"
#include "tatara/base/version.h"

namespace tatara::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kKindServer = 2;
constexpr int kStatusError = 2;

Json Text(std::string_view key, std::string_view value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}
// 64-bit numbers are texts in protobuf's JSON.
Json Whole(std::string_view key, std::int64_t value) {
  return {{"key", key}, {"value", {{"intValue", std::to_string(value)}}}};
}
Json Number(std::string_view key, double value) {
  return {{"key", key}, {"value", {{"doubleValue", value}}}};
}

std::string_view OperationOf(std::string_view route) {
  if (route == "/v1/chat/completions" || route == "/v1/ask") return "chat";
  if (route == "/v1/completions") return "text_completion";
  if (route == "/v1/embeddings") return "embeddings";
  if (route == "/v1/rerank") return "rerank";
  return {};
}

bool IsHex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == text.npos &&
         text.find_first_not_of('0') != text.npos;
}

struct Place {
  std::string trace_id, parent_id;  // no parent: this begins a trace
};

// W3C Trace Context: "00-TRACE-PARENT-FLAGS".
Place PlaceOf(std::string_view traceparent) {
  if (traceparent.size() == 55 && traceparent.starts_with("00-") && traceparent[35] == '-' &&
      traceparent[52] == '-') {
    const std::string_view trace = traceparent.substr(3, 32), parent = traceparent.substr(36, 16);
    if (IsHex(trace, 32) && IsHex(parent, 16)) {
      return {.trace_id = std::string(trace), .parent_id = std::string(parent)};
    }
  }
  return {.trace_id = fmt::format("{:016x}{:016x}", FreshSeed(), FreshSeed())};
}

Json ModelAttributes(const RequestFacts& facts) {
  Json list = Json::array();
  list.push_back(Text("gen_ai.provider.name", "tatara"));
  if (const auto operation = OperationOf(facts.route); !operation.empty()) {
    list.push_back(Text("gen_ai.operation.name", operation));
  }
  list.push_back(Text("gen_ai.request.model", facts.model));
  list.push_back(Text("gen_ai.response.model", facts.model));
  if (!facts.answer_id.empty()) list.push_back(Text("gen_ai.response.id", facts.answer_id));
  if (facts.samples) {
    list.push_back(Number("gen_ai.request.temperature", facts.temperature));
    list.push_back(Number("gen_ai.request.top_p", facts.top_p));
    if (facts.tokens_max > 0) list.push_back(Whole("gen_ai.request.max_tokens", facts.tokens_max));
  }
  if (facts.prompt_tokens >= 0) {
    list.push_back(Whole("gen_ai.usage.input_tokens", facts.prompt_tokens));
  }
  if (facts.completion_tokens >= 0) {
    list.push_back(Whole("gen_ai.usage.output_tokens", facts.completion_tokens));
  }
  if (!facts.finish_reasons.empty()) {
    Json values = Json::array();
    for (const std::string& reason : facts.finish_reasons) {
      values.push_back({{"stringValue", reason}});
    }
    list.push_back({{"key", "gen_ai.response.finish_reasons"},
                    {"value", {{"arrayValue", {{"values", std::move(values)}}}}}});
  }
  return list;
}

Json SpanOf(const RequestFacts& facts) {
  Json attributes = Json::array();
  attributes.push_back(Text("http.request.method", facts.method));
  if (!facts.route.empty()) attributes.push_back(Text("http.route", facts.route));
  attributes.push_back(Whole("http.response.status_code", facts.status));
  attributes.push_back(Text("client.address", facts.peer));
  attributes.push_back(Text("tatara.request_id", facts.id));
  attributes.push_back(Text("tatara.key_id", facts.caller.key));
  attributes.push_back(Text("tatara.tenant", facts.caller.tenant));
  std::string name = fmt::format("{} {}", facts.method, facts.route);
  if (!facts.model.empty()) {
    for (Json& attribute : ModelAttributes(facts)) attributes.push_back(std::move(attribute));
    if (facts.streamed && facts.first_byte_seconds >= 0) {
      attributes.push_back(Number("tatara.first_byte_seconds", facts.first_byte_seconds));
    }
    if (!OperationOf(facts.route).empty()) {
      name = fmt::format("{} {}", OperationOf(facts.route), facts.model);
    }
  }
  const bool failed = facts.status >= 500;
  if (failed) attributes.push_back(Text("error.type", std::to_string(facts.status)));
  const Place place = PlaceOf(facts.traceparent);
  Json span = {{"traceId", place.trace_id},
               {"spanId", fmt::format("{:016x}", FreshSeed())},
               {"name", name},
               {"kind", kKindServer},
               {"startTimeUnixNano", std::to_string(facts.begun_unix_ns)},
               {"endTimeUnixNano", std::to_string(facts.begun_unix_ns +
                                                  static_cast<std::int64_t>(facts.seconds * 1e9))},
               {"attributes", std::move(attributes)},
               {"status", failed ? Json{{"code", kStatusError}} : Json::object()}};
  if (!place.parent_id.empty()) span["parentSpanId"] = place.parent_id;
  return span;
}

std::size_t Ignore(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

}  // namespace

struct Tracer::State {
  TracingSettings settings;
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::deque<RequestFacts> waiting;
  SpanCounts counts;
  bool stop = false;
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
  std::thread thread;

  // While libcurl works: the end of the server leaves it little time.
  std::atomic<std::int64_t> stop_ns{0};
  static int Progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const std::int64_t since = static_cast<State*>(self)->stop_ns;
    return since != 0 && SystemClock().MonotonicNanoseconds() - since >
                             std::int64_t{kLastSendSecondsMax} * 1'000'000'000;
  }

  ~State() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }

  std::string Body(const std::vector<RequestFacts>& batch) const {
    Json spans = Json::array();
    for (const RequestFacts& facts : batch) spans.push_back(SpanOf(facts));
    Json resource = {{"attributes", Json::array({Text("service.name", settings.service_name),
                                                 Text("service.version", kVersion)})}};
    Json scope = {{"scope", {{"name", "tatara"}, {"version", kVersion}}},
                  {"spans", std::move(spans)}};
    Json body = {
        {"resourceSpans", Json::array({{{"resource", std::move(resource)},
                                        {"scopeSpans", Json::array({std::move(scope)})}}})}};
    return body.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  bool Post(const std::string& body, int seconds_max) {
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(seconds_max));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
    long status = 0;
    if (curl_easy_perform(curl) != CURLE_OK) return false;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
  }

  // Waits longer before each further attempt; the end of the server cuts the wait short.
  bool Send(const std::vector<RequestFacts>& batch) {
    const std::string body = Body(batch);
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      bool last = false;
      if (attempt > 0) {
        std::unique_lock lock(mutex);
        last = wake.wait_for(lock, std::chrono::seconds(1 << attempt), [&] { return stop; });
      }
      if (Post(body, last ? kLastSendSecondsMax : kSendSecondsMax)) return true;
      if (last) return false;
    }
    return false;
  }

  void Run() {
    for (;;) {
      std::vector<RequestFacts> batch;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop || !waiting.empty(); });
        if (waiting.empty()) return;
        const std::size_t n = std::min(waiting.size(), kBatchMax);
        batch.assign(std::make_move_iterator(waiting.begin()),
                     std::make_move_iterator(waiting.begin() + static_cast<std::ptrdiff_t>(n)));
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(n));
      }
      const bool sent = Send(batch);
      const std::lock_guard lock(mutex);
      (sent ? counts.sent : counts.failed) += batch.size();
      if (stop && !sent) return;
    }
  }
};

Tracer::Tracer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Tracer>> Tracer::Start(const TracingSettings& settings) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  auto state = std::make_unique<State>();
  state->settings = settings;
  state->curl = curl_easy_init();
  if (!ready || state->curl == nullptr) {
    return MakeError(ErrorKind::kUnavailable, "libcurl can not start on this machine");
  }
  CURL* curl = state->curl;
  state->headers = curl_slist_append(nullptr, "Content-Type: application/json");
  curl_easy_setopt(curl, CURLOPT_URL, settings.endpoint.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(kLastSendSecondsMax));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, state->headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Ignore);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, State::Progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, state.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, fmt::format("tatara/{}", kVersion).c_str());
  std::unique_ptr<Tracer> tracer(new Tracer(std::move(state)));
  tracer->state_->thread = std::thread([state = tracer->state_.get()] { state->Run(); });
  return tracer;
}

Tracer::~Tracer() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
    state_->stop_ns = SystemClock().MonotonicNanoseconds();
    state_->wake.notify_all();
  }
  state_->thread.join();
}

void Tracer::Request(const RequestFacts& facts) {
  for (const std::string_view quiet : {"page", "/health", "/ready", "/metrics"}) {
    if (facts.route == quiet) return;
  }
  RequestFacts copy = facts;
  copy.body.clear();
  const std::lock_guard lock(state_->mutex);
  if (state_->waiting.size() >= static_cast<std::size_t>(state_->settings.queue_max)) {
    ++state_->counts.dropped;
    return;
  }
  state_->waiting.push_back(std::move(copy));
  state_->wake.notify_one();
}

SpanCounts Tracer::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts;
}

}  // namespace tatara::server
