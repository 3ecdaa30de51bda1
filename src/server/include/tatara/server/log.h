// The server's log: a line for each request and for what happens to the server itself, on standard
// error (journald keeps it there) or in a file. No line holds a key; text of prompts only where
// LogSettings::prompts asks for bodies. Lines are written by a thread of their own: a disk or a
// pipe that is slow costs the oldest lines that wait, never a request its time. Thread safety:
// every function from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/server/config.h"
#include "tatara/server/request_facts.h"

namespace tatara::server {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

class ServerLog {
 public:
  static constexpr std::size_t kWaitingLinesMax = 8192;

  static Result<std::unique_ptr<ServerLog>> Open(const LogSettings& settings);
  ~ServerLog();  // what waits is written

  // Requests that the server failed (5xx) are errors, health checks are for debugging.
  void Request(const RequestFacts& facts);
  void Event(LogLevel level, std::string_view text);
  // Takes over level and prompts.
  void Apply(const LogSettings& settings);
  // Opens the file again, after it was moved aside.
  Result<> Reopen();

 private:
  struct State;
  explicit ServerLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tatara::server
