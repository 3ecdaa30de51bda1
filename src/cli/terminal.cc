#include "terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "tatara/base/localise.h"

namespace tatara::cli {
namespace {

StopFlag stop_flag;

extern "C" void OnInterrupt(int signal) {
  if (stop_flag.IsSet()) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  stop_flag.Set();
}

bool ends_by_stopping = false;

// Text of documents, models and file names must not steer the user's terminal: control characters
// other than line ends and tabs are shown as '?'.
std::string ForTerminal(std::string_view text) {
  std::string shown(text);
  for (char& c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
  }
  return shown;
}

}  // namespace

void EndByStopping() {
  ends_by_stopping = true;
}

bool EndsByStopping() {
  return ends_by_stopping;
}

void Out(std::string_view text) {
  static const bool terminal = isatty(STDOUT_FILENO) == 1;
  const std::string shown = terminal ? ForTerminal(text) : std::string(text);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
}

Result<> FinishOutput() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    return ErrnoError("{0}: cannot write: {1}", "standard output");
  }
  return Ok{};
}

void Remark(std::string_view text) {
  std::fflush(stdout);
  fmt::print(stderr, "tatara: {}\n", ForTerminal(text));
}

int ReportError(const Error& error) {
  std::fflush(stdout);
  fmt::print(stderr, "{}{}\n", Tr("tatara: error: "), ForTerminal(error.text(CurrentLanguage())));
  switch (error.kind()) {
    case ErrorKind::kRefused:
    case ErrorKind::kNotFound:
      return 2;
    case ErrorKind::kCancelled:
      return StopRequested().IsSet() ? kExitInterrupted : 1;
    case ErrorKind::kIo:
    case ErrorKind::kUnavailable:
      return 1;
  }
  return 1;
}

bool StandardErrorIsTerminal() {
  return isatty(STDERR_FILENO) == 1;
}

void InstallInterruptHandler() {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void StopOnUserSignal() {
  struct sigaction action = {};
  action.sa_handler = [](int) { stop_flag.Set(); };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
}

StopFlag& StopRequested() {
  return stop_flag;
}
Error Interrupted() {
  return MakeError(ErrorKind::kCancelled, "stopped");
}

void ProgressLine::Report(std::string_view what, std::uint64_t done, std::uint64_t total) {
  const auto now = Clock::now();
  if (what != what_) {
    Clear();
    what_ = what;
    started_ = printed_ = now;
    done_at_start_ = done;
    return;
  }
  const bool terminal = StandardErrorIsTerminal();
  const auto pause = terminal ? std::chrono::milliseconds(200) : std::chrono::seconds(10);
  if (now - printed_ < pause) return;
  printed_ = now;
  const std::string text = Text(done, total);
  const std::string line = text.empty() ? what_ : fmt::format("{} {}", what_, text);
  fmt::print(stderr, "{}{}{}", terminal ? "\r\x1b[K" : "", line, terminal ? "" : "\n");
  std::fflush(stderr);
  visible_ = terminal;
}

std::string ProgressLine::Text(std::uint64_t done, std::uint64_t total) const {
  const auto amount = [&](std::uint64_t n) {
    return unit_ == Unit::kBytes ? FormatBytes(static_cast<double>(n)) : fmt::format("{}", n);
  };
  const bool is_share = unit_ == Unit::kShare;
  if (total == 0) return is_share ? "" : amount(done);
  std::string text = fmt::format("{} %", done * 100 / total);
  if (!is_share) text = fmt::format("{} / {} ({})", amount(done), amount(total), text);
  const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  if (done > done_at_start_ && done < total && seconds > 0.5) {
    const double rate = static_cast<double>(done - done_at_start_) / seconds;
    text += ", " + Tr("{0} left", FormatDuration(static_cast<double>(total - done) / rate));
  }
  return text;
}

void ProgressLine::Clear() {
  if (visible_) {
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
  }
  visible_ = false;
  what_.clear();
}

std::string FormatBytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit) bytes /= 1000;
  const int decimals = unit == 0 ? 0 : bytes < 10 ? 2 : bytes < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", bytes, decimals, kUnits[unit]);
}

std::string FormatDuration(double seconds) {
  if (seconds < 60) return fmt::format("{:.{}f} s", seconds, seconds < 10 ? 1 : 0);
  const auto whole = static_cast<long>(seconds);
  return whole < 3600 ? fmt::format("{} min {:02d} s", whole / 60, whole % 60)
                      : fmt::format("{} h {:02d} min", whole / 3600, whole / 60 % 60);
}

}  // namespace tatara::cli
