#include "config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tatara/base/localise.h"

namespace tatara::server {
namespace {

constexpr double kSecondsMax = 7 * 24 * 3600;
constexpr double kKeepSecondsMax = 100.0 * 366 * 24 * 3600;
constexpr double kBytesMax = 1LL << 40;
constexpr double kCountMax = 1 << 20;
constexpr double kTokensMax = 1 << 24;

void AddGeneral(Config& c, std::vector<Setting>& table) {
  const auto add = [&](Setting setting) { table.push_back(std::move(setting)); };
  add({.key = "models",
       .value = &c.models,
       .help = MarkText("Names or paths of the models to serve. None: the one that `ask` takes.")});
  add({.key = "host",
       .value = &c.server.host,
       .help = MarkText("Numeric address to listen on. Beyond loopback a key is required.")});
  add({.key = "port",
       .value = &c.server.port,
       .help = MarkText("Port to listen on. 0: any free one."),
       .most = 65535});
  add({.key = "http_threads",
       .value = &c.server.n_threads,
       .help = MarkText("Threads that read requests and write answers; none of them computes."),
       .least = 1,
       .most = 64});
  add({.key = "strict",
       .value = &c.server.strict,
       .help = MarkText("Refuse fields of requests that no API has, instead of naming them in a "
                        "header."),
       .live = true});
  add({.key = "require_key",
       .value = &c.server.require_key,
       .help = MarkText("Ask for a key on loopback too; see `tatara keys`.")});
  add({.key = "hosts",
       .value = &c.server.hosts,
       .help = MarkText("Names under which this server is reached, besides addresses and this "
                        "machine's own name."),
       .live = true});
  add({.key = "cors_origins",
       .value = &c.server.cors_origins,
       .help = MarkText("Origins whose web pages may call, with a key, such as "
                        "\"https://app.example\"."),
       .live = true});
  add({.key = "session_idle_seconds",
       .value = &c.server.session_idle_seconds,
       .help = MarkText("A page that signed in is signed out after this time without use."),
       .live = true,
       .least = 60,
       .most = kSecondsMax});
  add({.key = "cookies_secure",
       .value = &c.server.cookies_secure,
       .help = MarkText("Where a proxy in front of this server speaks TLS: cookies go by https "
                        "only.")});
}

void AddModels(Config& c, std::vector<Setting>& table) {
  const auto add = [&](Setting setting) { table.push_back(std::move(setting)); };
  add({.key = "engine.threads",
       .value = &c.engine.n_threads,
       .help = MarkText("Threads that compute, for each model. 0: all that this process may use."),
       .most = 256});
  add({.key = "engine.activations",
       .value = &c.engine.activations,
       .help = MarkText("int8, or f32: exact and slower."),
       .choices = {"int8", "f32"}});
  add({.key = "engine.context_tokens",
       .value = &c.engine.context_tokens,
       .help = MarkText("Most tokens of one sequence. 0: the model's own, at most 8192."),
       .most = kTokensMax});
  add({.key = "engine.cache_tokens",
       .value = &c.engine.cache_tokens,
       .help = MarkText("Memory for keys and values, as tokens over all sequences. 0: twice the "
                        "context."),
       .most = 1e9});
  add({.key = "engine.sequences",
       .value = &c.service.sequences_max,
       .help = MarkText("Most sequences that run together; others wait."),
       .least = 1,
       .most = 1024});
  add({.key = "engine.chunk_tokens",
       .value = &c.engine.chunk_tokens,
       .help = MarkText("Most prompt tokens of one pass."),
       .least = 1,
       .most = 65536});
  add({.key = "engine.step_tokens",
       .value = &c.engine.step_tokens,
       .help = MarkText("Most tokens of one pass, prompts and answers together. 0: no such bound."),
       .most = 65536});
  add({.key = "engine.step_ms",
       .value = &c.engine.step_ms_max,
       .help = MarkText("Time a pass should take while several requests run, so that long prompts "
                        "do not hold up answers. 0: no such bound."),
       .most = 60000});
  add({.key = "engine.fair",
       .value = &c.engine.fair,
       .help = MarkText("Equal shares for keys, then for the requests of a key. Off: first come, "
                        "first served.")});
  add({.key = "engine.prefix_cache",
       .value = &c.engine.prefix_cache,
       .help = MarkText("Keep what prompts of one tenant have in common.")});
  add({.key = "engine.spill_bytes",
       .value = &c.engine.spill_bytes_max,
       .help = MarkText("Disk in HOME/pages for prefixes that memory has no room for. 0: none."),
       .most = kBytesMax});
  add({.key = "engine.spill_keep_seconds",
       .value = &c.engine.spill_keep_seconds,
       .help = MarkText("Those not used for so long go. 0: no such limit."),
       .most = kKeepSecondsMax});
  add({.key = "service.receipts_keep_seconds",
       .value = &c.service.receipts_keep_seconds,
       .help = MarkText("Receipts in HOME/receipts older than this go. 0: none are kept."),
       .most = kKeepSecondsMax});
  add({.key = "service.receipts_bytes",
       .value = &c.service.receipts_bytes_max,
       .help = MarkText("Most bytes of receipts; the oldest go first."),
       .most = kBytesMax});
  add({.key = "service.history_bytes",
       .value = &c.server.history_bytes_max,
       .help = MarkText("Conversations of one tenant, in HOME/history. 0: none are kept."),
       .most = kBytesMax});
  add({.key = "service.queue",
       .value = &c.service.queue_max,
       .help = MarkText("Most requests that wait for one model; more get 429."),
       .least = 1,
       .most = kCountMax});
  add({.key = "service.deadline_seconds",
       .value = &c.service.deadline_seconds,
       .help = MarkText("A request that takes longer ends with 504."),
       .least = 0.1,
       .most = kSecondsMax});
}

void AddLimits(Config& c, std::vector<Setting>& table) {
  ServerOptions& s = c.server;
  const auto add = [&](std::string_view key, SettingValue value, double least, double most,
                       std::string_view help) {
    table.push_back(
        {.key = key, .value = value, .help = help, .live = true, .least = least, .most = most});
  };
  add("limits.connections", &s.connections_max, 1, kCountMax,
      MarkText("Most connections at once."));
  add("limits.connections_per_address", &s.connections_per_address_max, 0, kCountMax,
      MarkText("Of them from one address (of IPv6: one /64). 0: 256 beyond loopback, all on it."));
  add("limits.requests_per_key", &s.requests_per_key_max, 1, kCountMax,
      MarkText("Most requests of one key at once; more get 429."));
  add("limits.header_bytes", &s.header_bytes_max, 1024, 1 << 20,
      MarkText("Largest header of a request."));
  add("limits.body_bytes", &s.body_bytes_max, 1024, kBytesMax,
      MarkText("Largest body of a request."));
  add("limits.unsent_bytes", &s.unsent_bytes_max, 4096, kBytesMax,
      MarkText("Bytes kept for a reader that is slower than its stream; then it is ended."));
  add("limits.idle_seconds", &s.idle_seconds, 1, kSecondsMax,
      MarkText("A connection may wait this long between requests."));
  add("limits.header_seconds", &s.header_seconds, 0.1, kSecondsMax,
      MarkText("Time for a whole header."));
  add("limits.body_seconds", &s.body_seconds, 0.1, kSecondsMax, MarkText("Time for a whole body."));
  add("limits.write_seconds", &s.write_seconds, 0.1, kSecondsMax,
      MarkText("Time without any progress of a reader; then it is left."));
  add("limits.drain_seconds", &s.drain_seconds, 0, kSecondsMax,
      MarkText("At the end, time for requests that still run."));
}

void AddOperation(Config& c, std::vector<Setting>& table) {
  const auto add = [&](Setting setting) { table.push_back(std::move(setting)); };
  add({.key = "tls.certificate",
       .value = &c.server.tls_certificate,
       .help = MarkText("File with the certificate and those above it, as PEM. It and the key are "
                        "read again by a reload.")});
  add({.key = "tls.key",
       .value = &c.server.tls_key,
       .help = MarkText("File with its private key, as PEM, not readable by others.")});
  add({.key = "tls.hsts_seconds",
       .value = &c.server.hsts_seconds,
       .help = MarkText("Browsers that came once by a name, not by an address or on loopback, come "
                        "by https only for so long, to all ports of that name. 0: this is not "
                        "said to them."),
       .live = true,
       .most = kKeepSecondsMax});
  add({.key = "log.level",
       .value = &c.log.level,
       .help = MarkText("Least of what is logged."),
       .live = true,
       .choices = {"debug", "info", "warning", "error"}});
  add({.key = "log.file",
       .value = &c.log.file,
       .help = MarkText("File that log lines are added to; opened again by a reload. Empty: "
                        "standard error.")});
  add({.key = "log.json", .value = &c.log.json, .help = MarkText("Every line one JSON object.")});
  add({.key = "log.prompts",
       .value = &c.log.prompts,
       .help = MarkText("Log bodies of requests too, which hold what people wrote."),
       .live = true});
  add({.key = "tracing.endpoint",
       .value = &c.tracing.endpoint,
       .help = MarkText("OpenTelemetry collector (OTLP over HTTP, JSON) that gets a span for each "
                        "request, such as \"http://127.0.0.1:4318/v1/traces\". Empty: none.")});
  add({.key = "tracing.service_name",
       .value = &c.tracing.service_name,
       .help = MarkText("The name of this server in traces.")});
  add({.key = "tracing.queue",
       .value = &c.tracing.queue_max,
       .help = MarkText("Spans kept while the collector does not answer; more are dropped and "
                        "counted."),
       .least = 1,
       .most = kCountMax});
}

std::string Quoted(const std::string& text) {
  // A JSON text without \/ and with \uXXXX for control characters is a TOML basic string.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string NumberText(double number) {
  return number == static_cast<double>(static_cast<std::int64_t>(number))
             ? fmt::format("{}", static_cast<std::int64_t>(number))
             : fmt::format("{}", number);
}

}  // namespace

std::vector<Setting> SettingsOf(Config& config) {
  std::vector<Setting> table;
  AddGeneral(config, table);
  AddModels(config, table);
  AddLimits(config, table);
  AddOperation(config, table);
  return table;
}

std::string EnvironmentName(std::string_view key) {
  std::string name = "TATARA_SERVE_";
  for (const char c : key) {
    name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

std::string ValueText(const Setting& setting) {
  return std::visit(
      [](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) {
          return *value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          return Quoted(*value);
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          std::string list;
          for (const std::string& text : *value) list += (list.empty() ? "" : ", ") + Quoted(text);
          return "[" + list + "]";
        } else {
          return NumberText(static_cast<double>(*value));
        }
      },
      setting.value);
}

std::string TypeText(const Setting& setting) {
  return std::visit(
      [&](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, bool>) {
          return "true or false";
        } else if constexpr (std::is_same_v<T, std::string>) {
          if (setting.choices.empty()) return "a text";
          return fmt::format("one of {}", fmt::join(setting.choices, ", "));
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          return "an array of texts";
        } else {
          return fmt::format("{}, {} to {}",
                             std::is_same_v<T, double> ? "a number" : "a whole number",
                             NumberText(setting.least), NumberText(setting.most));
        }
      },
      setting.value);
}

}  // namespace tatara::server
