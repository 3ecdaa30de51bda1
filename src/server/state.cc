// GET /health, /ready, /metrics, /v1/models, /v1/receipts
#include <fmt/format.h>

#include "api.h"
#include "tatara/base/version.h"

namespace tatara::server {
namespace {

const char* KindOf(const assistant::ModelInfo& info) {
  switch (info.kind) {
    case assistant::ModelKind::kGenerates:
      return "generates";
    case assistant::ModelKind::kEmbeds:
      return "embeds";
    case assistant::ModelKind::kRanks:
      return "ranks";
  }
  return "";
}

Json ModelJson(const assistant::ModelInfo& info) {
  Json own = {{"kind", KindOf(info)},
              {"architecture", info.architecture},
              {"sha256", info.sha256},
              {"n_parameters", info.n_parameters},
              {"n_embd", info.n_embd}};
  if (!info.dimensions.empty()) own["dimensions"] = info.dimensions;
  if (info.dimensions_least > 0) own["dimensions_least"] = info.dimensions_least;
  return {{"id", info.name},
          {"object", "model"},
          {"created", info.created_unix},
          {"owned_by", "tatara"},
          {"max_model_len", info.context_tokens},
          {"tatara", std::move(own)}};
}

// The text format of Prometheus, version 0.0.4. Meanings and units are those of vLLM's metrics of
// the same names.
class MetricsText {
 public:
  explicit MetricsText(const std::vector<assistant::ModelState>& states) : states_(states) {}

  template <typename F>
  void Value(std::string_view type, std::string_view name, std::string_view help, F value) {
    Head(type, name, help);
    for (const auto& state : states_) {
      text_ += fmt::format("tatara_{}{{model_name=\"{}\"}} {}\n", name, Escaped(state.name),
                           value(state));
    }
  }
  void Spread(std::string_view name, std::string_view help,
              assistant::Histogram assistant::ModelState::* member) {
    Head("histogram", name, help);
    for (const auto& state : states_) {
      const assistant::Histogram& histogram = state.*member;
      const std::string model = Escaped(state.name);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        sum += histogram.counts[i];
        const std::string bound = i < histogram.kBounds.size()
                                      ? fmt::format("{}", histogram.kBounds[i])
                                      : std::string("+Inf");
        text_ += fmt::format("tatara_{}_bucket{{model_name=\"{}\",le=\"{}\"}} {}\n", name, model,
                             bound, sum);
      }
      text_ += fmt::format(
          "tatara_{0}_sum{{model_name=\"{1}\"}} {2}\n"
          "tatara_{0}_count{{model_name=\"{1}\"}} {3}\n",
          name, model, histogram.sum, sum);
    }
  }
  std::string Take() { return std::move(text_); }

 private:
  void Head(std::string_view type, std::string_view name, std::string_view help) {
    text_ += fmt::format("# HELP tatara_{0} {1}\n# TYPE tatara_{0} {2}\n", name, help, type);
  }
  static std::string Escaped(const std::string& label) {
    std::string out;
    for (const char c : label) {
      if (c == '\n') {
        out += "\\n";
        continue;
      }
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  }
  const std::vector<assistant::ModelState>& states_;
  std::string text_;
};

std::string ConnectionsText(const HttpCounts& http) {
  if (!http.connections) return {};
  return fmt::format(
      "# HELP tatara_http_connections Connections that are open.\n"
      "# TYPE tatara_http_connections gauge\ntatara_http_connections {}\n"
      "# HELP tatara_http_connections_refused_total Connections beyond a limit, closed at once.\n"
      "# TYPE tatara_http_connections_refused_total counter\n"
      "tatara_http_connections_refused_total {}\n",
      http.connections(), http.connections_refused());
}

std::string ReceiptsText(const assistant::ReceiptState& receipts) {
  std::string text;
  const auto add = [&](std::string_view type, std::string_view name, std::string_view help,
                       std::int64_t value) {
    text += fmt::format("# HELP tatara_{0} {1}\n# TYPE tatara_{0} {2}\ntatara_{0} {3}\n", name,
                        help, type, value);
  };
  add("counter", "receipts_kept_total", "Receipts written.", receipts.kept);
  add("counter", "receipts_durable_total", "Of them, those that the disk has confirmed.",
      receipts.durable);
  add("counter", "receipts_lost_total", "Receipts that could not be written.", receipts.lost);
  add("counter", "receipts_not_durable_total", "Receipts that the disk did not confirm.",
      receipts.not_durable);
  add("gauge", "receipts_bytes", "Bytes of all receipts kept.", receipts.bytes);
  return text;
}

std::string SpansText(const ServerOptions& options) {
  const SpanCounts counts = options.span_counts ? options.span_counts() : SpanCounts{};
  std::string text =
      "# HELP tatara_trace_spans_total Spans of requests by what became of them; dropped: the "
      "queue "
      "was full; failed: the collector did not take them.\n"
      "# TYPE tatara_trace_spans_total counter\n";
  for (const auto& [result, n] :
       {std::pair("sent", counts.sent), std::pair("dropped", counts.dropped),
        std::pair("failed", counts.failed)}) {
    text += fmt::format("tatara_trace_spans_total{{result=\"{}\"}} {}\n", result, n);
  }
  return text;
}

}  // namespace

void Health(ApiCall call) {
  call.Answer({{"status", "ok"}});
}

void Ready(ApiCall call) {
  call.Answer({{"status", "ready"}, {"version", kVersion}});
}

void ListModels(ApiCall call) {
  Json data = Json::array();
  for (const auto& info : call.context->service->Models()) data.push_back(ModelJson(info));
  call.Answer({{"object", "list"}, {"data", std::move(data)}});
}

void OneModel(ApiCall call) {
  for (const auto& info : call.context->service->Models()) {
    if (info.name == call.rest) return call.Answer(ModelJson(info));
  }
  const auto none = call.context->service->Find(call.rest, assistant::ModelKind::kGenerates);
  call.Fail(none.ok() ? ApiError{.status = 404, .message = "there is no such model"}
                      : ApiErrorOf(none.error()));
}

void OneReceipt(ApiCall call) {
  auto receipt = call.context->service->Receipt(call.caller, call.rest);
  if (!receipt.ok()) return call.Fail(ApiErrorOf(receipt.error()));
  call.exchange->Send({.headers = call.headers, .body = std::move(receipt).value()});
}

void DeleteReceipt(ApiCall call) {
  const auto deleted = call.context->service->DeleteReceipt(call.caller, call.rest);
  if (!deleted.ok()) return call.Fail(ApiErrorOf(deleted.error()));
  call.Answer({{"deleted", true}, {"id", call.rest}});
}

// Everything that answers have left here of this tenant: receipts, and pages of its prompts.
void ForgetAll(ApiCall call) {
  const auto begun = call.context->service->ForgetTenant(
      call.caller, [call] { call.exchange->Post([call] { call.Answer({{"deleted", true}}); }); });
  if (!begun.ok()) call.Fail(ApiErrorOf(begun.error()));
}

void Metrics(ApiCall call) {
  using State = assistant::ModelState;
  const auto states = call.context->service->States();
  MetricsText text(states);
  text.Value("gauge", "num_requests_running", "Requests in the running batch.",
             [](const State& s) { return s.running; });
  text.Value("gauge", "num_requests_waiting", "Requests that wait for their turn.",
             [](const State& s) { return s.waiting; });
  text.Value("gauge", "kv_cache_usage_perc", "Share of the KV pages that running requests hold.",
             [](const State& s) {
               return s.pages_total == 0 ? 0.0 : double(s.pages_in_use) / s.pages_total;
             });
  text.Value("gauge", "kv_cache_pages_cached", "KV pages kept for later prefixes.",
             [](const State& s) { return s.pages_cached; });
  text.Value("counter", "prompt_tokens_total", "Prompt tokens of requests that ended.",
             [](const State& s) { return s.prompt_tokens; });
  text.Value("counter", "generation_tokens_total", "Tokens generated.",
             [](const State& s) { return s.generated_tokens; });
  text.Value("counter", "prefix_cache_hits_total", "Prompt tokens taken from the prefix cache.",
             [](const State& s) { return s.prefix_tokens_reused; });
  text.Value("counter", "num_preemptions_total", "Sequences put back to wait.",
             [](const State& s) { return s.preemptions; });
  text.Value("counter", "kv_pages_evicted_total", "Cached KV pages given up.",
             [](const State& s) { return s.pages_evicted; });
  text.Value("counter", "kv_pages_spilled_total", "KV pages written to disk.",
             [](const State& s) { return s.pages_spilled; });
  text.Value("counter", "kv_pages_restored_total", "KV pages taken back from disk.",
             [](const State& s) { return s.pages_restored; });
  text.Value("gauge", "kv_spill_bytes", "KV pages on disk.",
             [](const State& s) { return s.spill_bytes; });
  text.Value("counter", "steps_total", "Passes over the weights.",
             [](const State& s) { return s.steps; });
  text.Value("counter", "requests_finished_total", "Sequences that ended by themselves.",
             [](const State& s) { return s.finished; });
  text.Value("counter", "requests_cancelled_total", "Sequences that were cancelled.",
             [](const State& s) { return s.cancelled; });
  text.Value("counter", "requests_failed_total", "Sequences that ended with an error.",
             [](const State& s) { return s.failed; });
  text.Value("counter", "requests_turned_away_total", "Calls refused because the queue was full.",
             [](const State& s) { return s.turned_away; });
  text.Spread("time_to_first_token_seconds", "From the queue to the first token.",
              &State::time_to_first_token);
  text.Spread("time_per_output_token_seconds", "Mean time between a sequence's tokens.",
              &State::time_per_output_token);
  text.Spread("inter_token_latency_seconds", "Between a sequence's tokens as a reader sees them.",
              &State::inter_token);
  text.Spread("request_queue_time_seconds", "From the queue to the first pass.",
              &State::queue_time);
  text.Spread("e2e_request_latency_seconds", "From the queue to the last token.",
              &State::whole_time);
  call.exchange->Send({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                       .headers = call.headers,
                       .body = text.Take() + ReceiptsText(call.context->service->Receipts()) +
                               call.context->stats->Text() + ConnectionsText(*call.context->http) +
                               SpansText(*call.context->options)});
}

}  // namespace tatara::server
