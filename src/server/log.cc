#include "tatara/server/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>

namespace tatara::server {
namespace {

using Json = nlohmann::ordered_json;

// Whole lines to a descriptor: standard error, or a file of mode 0640 that can be opened again.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  ~DescriptorSink() override {
    if (fd_ > STDERR_FILENO) ::close(fd_);
  }
  Result<> Open(const std::string& path) {
    if (path.empty()) return Ok{};
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) return ErrnoError("{0}: cannot open: {1}", path);
    const std::lock_guard lock(mutex_);
    if (fd_ > STDERR_FILENO) ::close(fd_);
    fd_ = fd;
    return Ok{};
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string line(message.payload.data(), message.payload.size());
    line += '\n';
    for (std::size_t at = 0; at < line.size();) {
      const auto n = ::write(fd_, line.data() + at, line.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;  // nowhere to say it
      at += static_cast<std::size_t>(n);
    }
  }
  void flush_() override {}
  int fd_ = STDERR_FILENO;
};

std::string Now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

constexpr const char* kLevelNames[] = {"debug", "info", "warning", "error"};

LogLevel LevelOf(std::string_view name) {
  for (int i = 0; i < 4; ++i) {
    if (name == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return LogLevel::kInfo;
}

// A JSON line as it is, or "time level what name=value name=value".
std::string Line(const Json& fields, bool json) {
  if (json) return fields.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string line;
  int n = 0;
  for (const auto& [name, value] : fields.items()) {
    std::string text = value.is_string()
                           ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (n++ < 3) {
      line += (n == 1 ? "" : " ") + text;
      continue;
    }
    const bool plain = !text.empty() && text.find_first_of(" \"\\=\n\r\t") == text.npos;
    for (const char c : text) {
      if (plain && static_cast<unsigned char>(c) >= ' ' && c != 0x7f) continue;
      text = Json(text).dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
      break;
    }
    line += " " + name + "=" + (text.empty() ? "\"\"" : text);
  }
  return line;
}

double Rounded(double seconds) {
  return static_cast<double>(static_cast<std::int64_t>(seconds * 1e6 + 0.5)) / 1e6;
}

Json RequestFields(const RequestFacts& facts, LogLevel level, bool bodies) {
  Json fields = {{"time", Now()},
                 {"level", kLevelNames[static_cast<int>(level)]},
                 {"event", "request"},
                 {"id", facts.id},
                 {"method", facts.method.substr(0, 32)},
                 {"route", facts.route.empty() ? "none" : std::string(facts.route)},
                 {"status", facts.status},
                 {"seconds", Rounded(facts.seconds)}};
  if (facts.first_byte_seconds >= 0) {
    fields["first_byte_seconds"] = Rounded(facts.first_byte_seconds);
  }
  fields["peer"] = facts.peer;
  fields["key"] = facts.caller.key;
  fields["tenant"] = facts.caller.tenant;
  if (!facts.model.empty()) fields["model"] = facts.model;
  if (!facts.answer_id.empty()) fields["answer"] = facts.answer_id;
  if (facts.prompt_tokens >= 0) fields["prompt_tokens"] = facts.prompt_tokens;
  if (facts.cached_tokens >= 0) fields["cached_tokens"] = facts.cached_tokens;
  if (facts.completion_tokens >= 0) fields["completion_tokens"] = facts.completion_tokens;
  if (!facts.finish_reasons.empty()) {
    fields["finish"] = fmt::format("{}", fmt::join(facts.finish_reasons, ","));
  }
  if (bodies && !facts.body.empty()) fields["body"] = facts.body;
  return fields;
}

}  // namespace

struct ServerLog::State {
  std::string path;
  bool json = false;
  std::atomic<LogLevel> level{LogLevel::kInfo};
  std::atomic<bool> prompts{false};
  std::shared_ptr<DescriptorSink> sink = std::make_shared<DescriptorSink>();
  std::shared_ptr<spdlog::details::thread_pool> pool =
      std::make_shared<spdlog::details::thread_pool>(kWaitingLinesMax, 1);
  std::shared_ptr<spdlog::async_logger> logger = std::make_shared<spdlog::async_logger>(
      "tatara", sink, pool, spdlog::async_overflow_policy::overrun_oldest);

  void Write(const Json& fields) {
    logger->log(spdlog::level::info, spdlog::string_view_t(Line(fields, json)));
  }
};

ServerLog::ServerLog(std::unique_ptr<State> state) : state_(std::move(state)) {}

// The pool's thread ends when it has written what waits.
ServerLog::~ServerLog() = default;

Result<std::unique_ptr<ServerLog>> ServerLog::Open(const LogSettings& settings) {
  try {
    auto state = std::make_unique<State>();
    state->path = settings.file;
    state->json = settings.json;
    TATARA_RETURN_IF_ERROR(state->sink->Open(settings.file));
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
  return state_->sink->Open(state_->path);
}

void ServerLog::Request(const RequestFacts& facts) {
  const bool health = facts.route == "/health" || facts.route == "/ready";
  const LogLevel level = facts.status >= 500 ? LogLevel::kError
                         : health            ? LogLevel::kDebug
                                             : LogLevel::kInfo;
  if (level < state_->level.load()) return;
  try {
    state_->Write(RequestFields(facts, level, state_->prompts));
  } catch (const std::exception&) {  // no memory for a line: the request goes on
  }
}

void ServerLog::Event(LogLevel level, std::string_view text) {
  if (level < state_->level.load()) return;
  try {
    state_->Write({{"time", Now()},
                   {"level", kLevelNames[static_cast<int>(level)]},
                   {"event", "server"},
                   {"text", std::string(text)}});
  } catch (const std::exception&) {
  }
}

}  // namespace tatara::server
