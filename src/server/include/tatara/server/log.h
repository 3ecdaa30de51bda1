// The server's log: a line for each request and for what happens to the server itself, on standard
// error (journald keeps it there) or in a file. No line holds a key; text of prompts only where
// LogSettings::prompts asks for bodies. Lines are written by a thread of their own, many at
// a time: a disk or a pipe that is slow costs lines, which are counted, never a request its time. A
// kill -9 may cost the last 20 ms of them. Thread safety: every function from any thread.
#pragma once

#include <cstdint>
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
  void SayDropped(std::uint64_t n);
  explicit ServerLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tatara::server
