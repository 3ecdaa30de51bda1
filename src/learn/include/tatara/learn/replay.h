// Steps of a run, run again and compared with what the run recorded: losses, gradient norms and
// rates of every step, validation losses, digests of weights and of checkpoints' files, all bit for
// bit. Any machine, instruction set and number of threads gives the same.
// Thread safety: one call at a time on a run; the run's folder is only read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"

namespace tatara::learn {

struct ReplayOptions {
  // Steps that are compared, both included; 0: the run's first, and its last.
  std::int64_t first_step = 0, last_step = 0;
  int n_threads = 1;
  // Where the data lies, if neither beside the recipe as the run knew it nor in TATARA_TEST_DATA.
  std::filesystem::path data_folder;
  ProgressSink* progress = nullptr;  // in steps
  const StopFlag* stop = nullptr;
};

struct ReplayedRun {
  bool ok = false;
  std::string first_difference;   // empty where ok; in the current language
  std::int64_t started_from = 0;  // the checkpoint's step; 0: the recipe's starting weights
  std::int64_t first_step = 0, last_step = 0;
  std::int64_t n_steps_run = 0;  // those before first_step included
  std::int64_t n_values = 0;     // numbers that were compared
  std::int64_t n_digests = 0;    // digests that were compared
  std::string weights;           // digest after last_step (Trainer::Digest)
};

// The run goes on from its last checkpoint before first_step. An error: the replay could not be
// tried (data that is not here, steps that the run never made). A record that was changed is a
// difference.
Result<ReplayedRun> ReplayRun(const std::filesystem::path& run, const ReplayOptions& options);

}  // namespace tatara::learn
