#include "workers_access.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

learn::Workers* g_workers = nullptr;  // set before any thread is there

}  // namespace

learn::Workers* SharedWorkers() {
  return g_workers;
}
void ShareWork(learn::Workers* workers) {
  g_workers = workers;
}

namespace {

namespace fs = std::filesystem;

Result<fs::path> WorkersProgram() {
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code).parent_path() / "tatara-mpi";
  if (code || !fs::exists(program, code)) {
    return MakeError(ErrorKind::kNotFound,
                     "'{0}' is not there: it is built where Open MPI's headers are installed",
                     program.string());
  }
  return program;
}

// mpirun and what it is to run. Its own notices of processes that end are left out: what was wrong
// is said by one of them.
Result<std::vector<std::string>> WorkersCommand(const TrainOptions& options) {
  TATARA_TRY(const fs::path program, WorkersProgram());
  const int n_processors = ThreadPool::HardwareThreads();
  const int n_threads =
      options.n_threads > 0 ? options.n_threads : std::max(1, n_processors / options.n_workers);
  std::vector<std::string> words = {"mpirun",    "--quiet", "-n", std::to_string(options.n_workers),
                                    "--bind-to", "none"};
  if (options.n_workers > n_processors) words.push_back("--oversubscribe");
  for (const std::string& word : {program.string(), std::string("train"), options.recipe,
                                  std::string("--threads"), std::to_string(n_threads)}) {
    words.push_back(word);
  }
  if (!options.out.empty()) words.insert(words.end(), {"--out", options.out});
  for (const std::string& one : options.overrides) words.insert(words.end(), {"--set", one});
  if (options.resume) words.push_back("--resume");
  if (options.json) words.push_back("--json");
  return words;
}

std::vector<char*> ArgumentsOf(std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  return arguments;
}

Error CanNotStart(int code) {
  return MakeError(ErrorKind::kNotFound, "mpirun (Open MPI) can not be started: {0}",
                   std::strerror(code));
}

// The processes are asked by SIGUSR1, which mpirun passes on to each of them.
Result<int> WaitFor(pid_t child) {
  constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 50'000'000};
  int status = 0;
  for (bool told = false;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR) return ErrnoError("{0}: {1}", "mpirun");
    if (StopRequested().IsSet() && !std::exchange(told, true)) kill(child, SIGUSR1);
    nanosleep(&kPause, nullptr);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

[[noreturn]] void BecomeMpirun(const std::vector<char*>& arguments, pid_t parent,
                               WorkersOutput output) {
  // Ends with the parent, however that ends: nothing goes on writing the run's folder.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // Of its own group: Ctrl-C reaches the parent alone. mpirun would end the processes at once.
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (getppid() != parent || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) _exit(127);
  if (output == WorkersOutput::kLeftOut && dup2(nothing, STDOUT_FILENO) < 0) _exit(127);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

Result<> CheckWorkersProgram() {
  TATARA_TRY([[maybe_unused]] const fs::path program, WorkersProgram());
  return Ok{};
}

Result<int> RunWorkers(const TrainOptions& options, WorkersOutput output) {
  TATARA_TRY(std::vector<std::string> words, WorkersCommand(options));
  const std::vector<char*> arguments = ArgumentsOf(words);
  const pid_t parent = getpid();
  const pid_t child = fork();  // no other thread runs
  if (child < 0) return CanNotStart(errno);
  if (child == 0) BecomeMpirun(arguments, parent, output);
  TATARA_TRY(const int status, WaitFor(child));
  if (status == 127) return CanNotStart(ENOENT);
  return StopRequested().IsSet() && status == kExitInterrupted ? 0 : status;
}

}  // namespace tatara::cli
