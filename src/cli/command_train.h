// The training of `train` and `tune`.
#pragma once

#include <optional>

#include "options.h"
#include "tatara/base/error.h"
#include "tatara/learn/run.h"
#include "workers_access.h"

namespace tatara::cli {

// In this process: recorded, and told where no JSON is asked for. Nothing in one that only helps
// another one (workers_access.h).
Result<std::optional<learn::RunResult>> TrainHere(const TrainOptions& options);

// In several processes: their exit status. What is refused is refused here, once.
Result<int> TrainInWorkers(const TrainOptions& options, WorkersOutput output);

}  // namespace tatara::cli
