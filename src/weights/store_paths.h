// Where things lie below the data directory. Names that start with a dot are no models.
#pragma once

#include <filesystem>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/base/files.h"

namespace tatara::weights {

struct StorePaths {
  std::filesystem::path home;

  std::filesystem::path models() const { return home / "models"; }
  std::filesystem::path model(std::string_view name) const { return models() / name; }
  std::filesystem::path partial(std::string_view name) const {
    return models() / ".partial" / name;
  }
  std::filesystem::path lock(std::string_view name) const { return models() / ".locks" / name; }
  std::filesystem::path licences() const { return models() / ".licences"; }
  std::filesystem::path digests() const { return home / "digests"; }
};

// Held while a model is pulled or removed; refused with the model's name where another process
// holds it.
Result<FileLock> LockModel(const StorePaths& paths, std::string_view name, int wait_ms_max);

}  // namespace tatara::weights
