// Files held against the digests that lineage records for them.
// Thread safety: free functions and values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "tatara/base/lineage.h"

namespace tatara::ledger {

struct PlacedPart {
  LineagePart part;  // as it was recorded
  std::filesystem::path path;
};

struct FilesReport {
  std::vector<std::string>
      problems;               // a line each, in the current language; none: all is as it was
  std::uint64_t n_files = 0;  // that were read
  std::uint64_t bytes = 0;
};

// Every file's bytes are read. A missing file is a problem too.
FilesReport VerifyFiles(std::span<const PlacedPart> files);

}  // namespace tatara::ledger
