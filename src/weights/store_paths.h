// Where things lie below the data directory. Names that start with a dot are no models.
#pragma once

#include <filesystem>
#include <string_view>

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

}  // namespace tatara::weights
