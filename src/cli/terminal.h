// Standard output and error as the commands use them: data lines, remarks, a progress line, Ctrl-C.
// Thread safety: the main thread, except StopRequested.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"

namespace tatara::cli {

// Data for people and programs. Failures (a full disk, a closed pipe) show in FinishOutput.
void Out(std::string_view text);
Result<> FinishOutput();

// A line on standard error, "tatara: " before it.
void Remark(std::string_view text);
// "tatara: error: …" in the user's language, and the exit status for its kind.
int ReportError(const Error& error);

bool StandardErrorIsTerminal();

// The first Ctrl-C (or SIGTERM) sets the flag, the second ends the process at once.
void InstallInterruptHandler();
// SIGUSR1 sets it too, however often it comes.
void StopOnUserSignal();
StopFlag& StopRequested();
// For commands that run until they are stopped: being stopped is then no interruption, and the
// status is the command's own.
void EndByStopping();
bool EndsByStopping();
Error Interrupted();
inline constexpr int kExitInterrupted = 130;

// One line that is rewritten on a terminal, and a line each ten seconds elsewhere: what, how far,
// how long it may still take. Removed at the end.
class ProgressLine final : public ProgressSink {
 public:
  enum class Unit { kBytes, kCount, kShare };  // kShare: per cent only
  explicit ProgressLine(Unit unit) : unit_(unit) {}
  ~ProgressLine() override { Clear(); }
  void Report(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  void Clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string Text(std::uint64_t done, std::uint64_t total) const;
  Unit unit_;
  std::string what_;
  Clock::time_point started_{}, printed_{};
  std::uint64_t done_at_start_ = 0;
  bool visible_ = false;
};

// "98.4 MB", "1.12 GB" (powers of ten), "3.2 s", "4 min 05 s".
std::string FormatBytes(double bytes);
std::string FormatDuration(double seconds);

}  // namespace tatara::cli
