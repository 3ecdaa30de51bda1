// tatara-mpi: the same program as a worker under mpirun, for `tatara train --workers N`. A program
// of its own, so that tatara itself neither needs nor loads Open MPI.
//
// MPI carries bytes between two workers and nothing else: no reduction is left to it (rule 12).
#include <mpi.h>

#include <algorithm>
#include <cstdio>

#include "tatara/cli/main.h"
#include "tatara/learn/workers.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 30;  // MPI counts in int

class MpiWorkers final : public learn::Workers {
 public:
  MpiWorkers(int count, int rank) : count_(count), rank_(rank) {}
  int count() const override { return count_; }
  int rank() const override { return rank_; }
  Result<> Exchange(int other, std::span<const std::byte> mine,
                    std::span<std::byte> theirs) override {
    for (std::size_t at = 0; at < mine.size(); at += kPieceBytes) {
      const int n = static_cast<int>(std::min(kPieceBytes, mine.size() - at));
      const int status = MPI_Sendrecv(mine.data() + at, n, MPI_BYTE, other, 0, theirs.data() + at,
                                      n, MPI_BYTE, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (status != MPI_SUCCESS) {
        return MakeError(ErrorKind::kIo, "worker {0} of {1} can not be reached", other, count_);
      }
    }
    return Ok{};
  }

 private:
  int count_, rank_;
};

int Work(int argc, char** argv) {
  int count = 1, rank = 0, status = MPI_SUCCESS;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  status = std::max(MPI_Comm_size(MPI_COMM_WORLD, &count), MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  if (status != MPI_SUCCESS || (count & (count - 1)) != 0) {
    std::fputs("tatara-mpi: 1, 2, 4, 8, ... processes can share a run\n", stderr);
    return 2;
  }
  MpiWorkers workers(count, rank);
  return Main(argc, argv, &workers);
}

}  // namespace
}  // namespace tatara::cli

int main(int argc, char** argv) {
  // Asks to stop, and may come before anything else is ready (workers_access.cc).
  tatara::cli::StopOnUserSignal();
  int level = 0;
  if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS) return 1;
  const int status = tatara::cli::Work(argc, argv);
  // One that gives up takes the others with it: they wait for its part. Those that were stopped end
  // together.
  if (status != 0 && status != tatara::cli::kExitInterrupted) MPI_Abort(MPI_COMM_WORLD, status);
  MPI_Finalize();
  return status;
}
