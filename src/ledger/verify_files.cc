#include "tatara/ledger/verify_files.h"

#include "tatara/base/files.h"
#include "tatara/base/localise.h"

namespace tatara::ledger {

FilesReport VerifyFiles(std::span<const PlacedPart> files) {
  FilesReport report;
  for (const PlacedPart& file : files) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(file.path, error)) {
      report.problems.push_back(Tr("{0}: recorded, but not there", file.path.string()));
      continue;
    }
    const auto sha256 = Sha256OfFile(file.path);
    if (!sha256.ok()) {
      report.problems.push_back(sha256.error().text(CurrentLanguage()));
      continue;
    }
    ++report.n_files;
    report.bytes += std::filesystem::file_size(file.path, error);
    if (*sha256 != file.part.sha256) {
      report.problems.push_back(Tr("{0}: SHA-256 is {1}, recorded is {2}", file.path.string(),
                                   *sha256, file.part.sha256));
    }
  }
  return report;
}

}  // namespace tatara::ledger
