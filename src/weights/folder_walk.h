// The regular files below a folder that somebody brought: bounded in depth and number, links to
// folders not followed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

struct FoundFile {
  std::filesystem::path path;
  std::uint64_t n_bytes = 0;
};

Result<std::vector<FoundFile>> FilesBelow(const std::filesystem::path& folder);

}  // namespace tatara::weights
