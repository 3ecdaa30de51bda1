// The processes that share this command's run, where it runs under mpirun (mpi/main.cc).
#pragma once

#include "options.h"
#include "tatara/base/error.h"
#include "tatara/learn/workers.h"

namespace tatara::cli {

// Null where this process is alone. Set once by Main.
learn::Workers* SharedWorkers();
void ShareWork(learn::Workers* workers);

// Becomes `mpirun -n N tatara-mpi train ...` with the same options; returns only where that fails.
Error StartWorkers(const TrainOptions& options);
// The same in processes of their own, waited for: their exit status. What they would print on
// standard output is left out.
Result<int> RunWorkers(const TrainOptions& options);

}  // namespace tatara::cli
