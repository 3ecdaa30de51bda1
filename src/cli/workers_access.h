// The processes that share this command's run, where it runs under mpirun (mpi/main.cc).
#pragma once

#include "options.h"
#include "tatara/base/error.h"
#include "tatara/learn/workers.h"

namespace tatara::cli {

// Null where this process is alone. Set once by Main.
learn::Workers* SharedWorkers();
void ShareWork(learn::Workers* workers);

enum class WorkersOutput { kShown, kLeftOut };  // of standard output

// `mpirun -n N tatara-mpi train ...` with the same options, waited for: its exit status. What the
// training would refuse is to be refused before. Ctrl-C and SIGTERM let the processes end their
// step and keep a checkpoint; a second one ends them at once.
Result<int> RunWorkers(const TrainOptions& options, WorkersOutput output);
// Refused where they can not be started here.
Result<> CheckWorkersProgram();

}  // namespace tatara::cli
