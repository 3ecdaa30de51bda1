#include "tatara/server/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>

#include "line_writer.h"
#include "tatara/base/localise.h"

namespace tatara::server {
namespace {

constexpr const char* kLevelNames[] = {"debug", "info", "warning", "error"};

LogLevel LevelOf(std::string_view name) {
  for (int i = 0; i < 4; ++i) {
    if (name == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return LogLevel::kInfo;
}

// The day and the time of day change once a second, for many lines.
void AppendNow(std::string& line) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  thread_local std::time_t known = -1;
  thread_local std::string text;
  if (seconds != known) {
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", utc.tm_year + 1900, utc.tm_mon + 1,
                       utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    known = seconds;
  }
  fmt::format_to(std::back_inserter(line), "{}.{:03}Z", text, ms);
}

// As JSON writes a text; UTF-8 always, what is not becomes U+FFFD.
void AppendQuoted(std::string& line, std::string_view text) {
  const bool simple = std::ranges::all_of(
      text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (!simple) {
    line += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return;
  }
  line += '"';
  line += text;
  line += '"';
}

// A line in the making: one JSON object, or "time level what name=value name=value". Names are
// literals that need no quotes.
class Line {
 public:
  Line(bool json, LogLevel level, std::string_view event) : json_(json) {
    line_.clear();
    line_ += json_ ? "{\"time\":\"" : "";
    AppendNow(line_);
    line_ += json_ ? "\",\"level\":\"" : " ";
    line_ += kLevelNames[static_cast<int>(level)];
    line_ += json_ ? "\",\"event\":\"" : " ";
    line_ += event;
    line_ += json_ ? "\"" : "";
  }
  void Text(std::string_view name, std::string_view value) {
    Name(name);
    const bool plain = !json_ && !value.empty() && std::ranges::all_of(value, [](char c) {
      return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '=';
    });
    if (plain) {
      line_ += value;
    } else {
      AppendQuoted(line_, value);
    }
  }
  template <typename T>
  void Number(std::string_view name, T value) {
    Name(name);
    fmt::format_to(std::back_inserter(line_), "{}", value);
  }
  std::string_view End() {
    line_ += json_ ? "}\n" : "\n";
    return line_;
  }

 private:
  void Name(std::string_view name) {
    line_ += json_ ? ",\"" : " ";
    line_ += name;
    line_ += json_ ? "\":" : "=";
  }
  const bool json_;
  // One for each thread, so that a request's line needs no memory of its own.
  static thread_local std::string line_;
};
thread_local std::string Line::line_;

double Rounded(double seconds) {
  return static_cast<double>(static_cast<std::int64_t>(seconds * 1e6 + 0.5)) / 1e6;
}

constexpr std::size_t kMethodBytesMax = 32;

void AddRequest(Line& line, const RequestFacts& facts, bool bodies) {
  line.Text("id", facts.id);
  line.Text("method", std::string_view(facts.method).substr(0, kMethodBytesMax));
  line.Text("route", facts.route.empty() ? "none" : facts.route);
  line.Number("status", facts.status);
  line.Number("seconds", Rounded(facts.seconds));
  if (facts.first_byte_seconds >= 0) {
    line.Number("first_byte_seconds", Rounded(facts.first_byte_seconds));
  }
  line.Text("peer", facts.peer);
  line.Text("key", facts.caller.key);
  line.Text("tenant", facts.caller.tenant);
  if (!facts.model.empty()) line.Text("model", facts.model);
  if (!facts.answer_id.empty()) line.Text("answer", facts.answer_id);
  if (facts.prompt_tokens >= 0) line.Number("prompt_tokens", facts.prompt_tokens);
  if (facts.cached_tokens >= 0) line.Number("cached_tokens", facts.cached_tokens);
  if (facts.completion_tokens >= 0) line.Number("completion_tokens", facts.completion_tokens);
  if (!facts.finish_reasons.empty()) {
    line.Text("finish", fmt::format("{}", fmt::join(facts.finish_reasons, ",")));
  }
  if (bodies && !facts.body.empty()) line.Text("body", facts.body);
}

}  // namespace

struct ServerLog::State {
  std::string path;
  bool json = false;
  std::atomic<LogLevel> level{LogLevel::kInfo};
  std::atomic<bool> prompts{false};
  LineWriter writer;
};

ServerLog::ServerLog(std::unique_ptr<State> state) : state_(std::move(state)) {}

ServerLog::~ServerLog() = default;

Result<std::unique_ptr<ServerLog>> ServerLog::Open(const LogSettings& settings) {
  try {
    auto state = std::make_unique<State>();
    state->path = settings.file;
    state->json = settings.json;
    TATARA_RETURN_IF_ERROR(state->writer.Open(settings.file));
    std::unique_ptr<ServerLog> log(new ServerLog(std::move(state)));
    log->Apply(settings);
    return log;
  } catch (const std::exception& error) {
    return MakeError(ErrorKind::kUnavailable, "the log can not be started: {0}", error.what());
  }
}

void ServerLog::Apply(const LogSettings& settings) {
  state_->level = LevelOf(settings.level);
  state_->prompts = settings.prompts;
}

Result<> ServerLog::Reopen() {
  return state_->writer.Open(state_->path);
}

void ServerLog::Request(const RequestFacts& facts) {
  const bool health = facts.route == "/health" || facts.route == "/ready";
  const LogLevel level = facts.status >= 500 ? LogLevel::kError
                         : health            ? LogLevel::kDebug
                                             : LogLevel::kInfo;
  if (level < state_->level.load()) return;
  try {
    Line line(state_->json, level, "request");
    AddRequest(line, facts, state_->prompts);
    const auto dropped = state_->writer.Add(line.End(), /*urgent=*/level == LogLevel::kError);
    if (dropped > 0) SayDropped(dropped);
  } catch (const std::exception&) {  // no memory for a line: the request goes on
  }
}

void ServerLog::Event(LogLevel level, std::string_view text) {
  if (level < state_->level.load()) return;
  try {
    Line line(state_->json, level, "server");
    line.Text("text", text);
    state_->writer.Add(line.End(), /*urgent=*/true);
  } catch (const std::exception&) {
  }
}

void ServerLog::SayDropped(std::uint64_t n) {
  Event(LogLevel::kWarning,
        Tr("{0} log lines were dropped: they came faster than they could be written", n));
}

}  // namespace tatara::server
