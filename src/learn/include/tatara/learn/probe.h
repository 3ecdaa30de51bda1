// What a run's checkpoints say of how it went: norms of their weights, and what each of them makes
// of the same prompts.
// Thread safety: one call at a time on a run; its folder is only read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"

namespace tatara::learn {

struct ProbeOptions {
  std::vector<std::string> prompts;  // none: no text is made
  int n_tokens = 80;
  int n_threads = 1;
  const StopFlag* stop = nullptr;  // may be null
};

struct ProbedCheckpoint {
  std::int64_t step = 0;
  std::string weights_sha256;  // of its file
  double weight_norm = 0;
  // By block ("blk.0", ...), and of each tensor outside the blocks.
  std::vector<std::pair<std::string, double>> part_norms;
  std::vector<std::string> texts;  // what follows each prompt
};

// One for each checkpoint, ascending. Texts are drawn as the run draws its samples.
Result<std::vector<ProbedCheckpoint>> ProbeCheckpoints(const std::filesystem::path& run,
                                                       const ProbeOptions& options);

}  // namespace tatara::learn
