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

// mpirun and what it is to run.
Result<std::vector<std::string>> WorkersCommand(const TrainOptions& options) {
  namespace fs = std::filesystem;
  std::error_code code;
  const fs::path program = fs::read_symlink("/proc/self/exe", code).parent_path() / "tatara-mpi";
  if (code || !fs::exists(program, code)) {
    return MakeError(ErrorKind::kNotFound,
                     "'{0}' is not there: it is built where Open MPI's headers are installed",
                     program.string());
  }
  const int n_processors = ThreadPool::HardwareThreads();
  const int n_threads =
      options.n_threads > 0 ? options.n_threads : std::max(1, n_processors / options.n_workers);
  std::vector<std::string> words = {"mpirun", "-n", std::to_string(options.n_workers), "--bind-to",
                                    "none"};
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

// Passes SIGTERM on; Ctrl-C reaches mpirun by itself.
Result<int> WaitFor(pid_t child) {
  int status = 0;
  for (bool told = false; waitpid(child, &status, 0) < 0;) {
    if (errno != EINTR) return ErrnoError("{0}: {1}", "mpirun");
    if (StopRequested().IsSet() && !std::exchange(told, true)) kill(child, SIGTERM);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Error StartWorkers(const TrainOptions& options) {
  auto words = WorkersCommand(options);
  if (!words.ok()) return words.error();
  const std::vector<char*> arguments = ArgumentsOf(*words);
  execvp(arguments[0], arguments.data());
  return CanNotStart(errno);
}

Result<int> RunWorkers(const TrainOptions& options) {
  TATARA_TRY(std::vector<std::string> words, WorkersCommand(options));
  const std::vector<char*> arguments = ArgumentsOf(words);
  InstallInterruptHandler();
  const pid_t parent = getpid();
  const pid_t child = fork();  // no other thread runs yet
  if (child < 0) return CanNotStart(errno);
  if (child == 0) {
    // Ends with this process, however that ends: nothing goes on writing the run's folder.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (getppid() != parent || nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0) _exit(127);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  TATARA_TRY(const int status, WaitFor(child));
  if (status == 127) return CanNotStart(ENOENT);
  return status;
}

}  // namespace tatara::cli
