// What a training run's lineage says: recipe, data and the files that it left, by their digests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/lineage.h"
#include "tatara/learn/run.h"

namespace tatara::cli {

struct RunCall {
  std::filesystem::path folder;
  int n_threads = 1;  // of each process
  int n_workers = 1;
  std::int64_t resumed_from = 0;  // 0: it started anew
};

// Records one call of training that has ended, finished or stopped; first, where it is not there
// yet, what its data was made from. The texts of recipe and manifest become objects of the ledger.
void RecordTraining(const RunCall& call, const learn::RunResult& result);

// The run's files, relative and sorted; without what is half written, and the lock.
Result<std::vector<std::filesystem::path>> RunFiles(const std::filesystem::path& folder);

// The run's files as parts named RUN/PATH: the last checkpoint's weights first, then the others in
// order.
Result<std::vector<LineagePart>> RunParts(const std::filesystem::path& folder,
                                          const std::string& name);

}  // namespace tatara::cli
