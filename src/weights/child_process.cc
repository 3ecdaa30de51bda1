#include "child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

extern char** environ;

namespace tatara::weights {
namespace {

constexpr int kCouldNotStart = 127;
constexpr auto kPollInterval = std::chrono::milliseconds(100);
constexpr auto kTermGrace = std::chrono::seconds(1);

// "PATH=..." lines: this process's own, with the command's over them.
std::vector<std::string> EnvironmentOf(const ChildCommand& command) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    bool replaced = false;
    for (const auto& [name, value] : command.environment) {
      replaced |= line.starts_with(name + "=");
    }
    if (!replaced) out.emplace_back(line);
  }
  for (const auto& [name, value] : command.environment) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> Pointers(std::vector<std::string>& lines) {
  std::vector<char*> out;
  for (std::string& line : lines) out.push_back(line.data());
  out.push_back(nullptr);
  return out;
}

// Between fork and exec: only what is safe there when other threads hold locks.
[[noreturn]] void BecomeChild(pid_t parent, int input, int output, char** argv, char** envp) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCouldNotStart);  // it died before prctl
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(input, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::execvpe(argv[0], argv, envp);
  ::_exit(kCouldNotStart);
}

int StatusOf(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// Waits until `deadline`, or for ever; false when the time is over.
bool Wait(pid_t child, int* status, const std::function<bool()>& go_on) {
  for (;;) {
    const pid_t ended = ::waitpid(child, status, WNOHANG);
    if (ended == child) return true;
    if (ended < 0 && errno != EINTR) {  // SIGCHLD is ignored here: nobody knows how it ended
      *status = kCouldNotStart << 8;
      return true;
    }
    if (!go_on()) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
}

void End(pid_t child, int* status) {
  ::kill(-child, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kTermGrace;
  const bool ended =
      Wait(child, status, [&] { return std::chrono::steady_clock::now() < deadline; });
  ::kill(-child, SIGKILL);  // its children, and itself where it did not listen
  if (!ended) ::waitpid(child, status, 0);
}

}  // namespace

Result<int> RunChild(const ChildCommand& command, const std::function<bool()>& poll) {
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = ::open(command.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (input < 0 || output < 0) {
    Error error = ErrnoError("{0}: cannot write: {1}", command.output.string());
    if (input >= 0) ::close(input);
    if (output >= 0) ::close(output);
    return error;
  }
  std::vector<std::string> argv_lines = command.argv;
  std::vector<std::string> envp_lines = EnvironmentOf(command);
  const std::vector<char*> argv = Pointers(argv_lines);
  const std::vector<char*> envp = Pointers(envp_lines);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    BecomeChild(parent, input, output, const_cast<char**>(argv.data()),
                const_cast<char**>(envp.data()));
  }
  ::close(input);
  ::close(output);
  if (child < 0) return ErrnoError("{0}: cannot be started: {1}", command.argv.front());
  ::setpgid(child, child);
  int status = 0;
  if (!Wait(child, &status, poll)) End(child, &status);
  return StatusOf(status);
}

}  // namespace tatara::weights
