// Which runs of training there are on this machine: HOME/runs holds a small file for each folder
// that a run was made in, so that a name leads to it from anywhere.
// Thread safety: any thread, any number of processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::cli {

struct RegisteredRun {
  std::string name;
  std::filesystem::path folder;  // absolute
  std::string started_utc;
};

// Once a run has its folder. Registering it again changes nothing but the time.
Result<> RegisterRun(const std::string& name, const std::filesystem::path& folder);
// Newest first. Folders that are gone are listed too.
Result<std::vector<RegisteredRun>> RegisteredRuns();

// The folder that people mean: a run's folder, else runs/NAME here, else the newest registered run
// of that name whose folder is still there. kNotFound names the nearest.
Result<std::filesystem::path> FindRun(const std::string& what);
// Empty where it is none.
std::filesystem::path RunNamed(const std::string& what);

}  // namespace tatara::cli
