#include "workers_access.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/thread_pool.h"

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

Error StartWorkers(const TrainOptions& options) {
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
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  return MakeError(ErrorKind::kNotFound, "mpirun (Open MPI) can not be started: {0}",
                   std::strerror(errno));
}

}  // namespace tatara::cli
