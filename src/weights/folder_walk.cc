#include "folder_walk.h"

#include <algorithm>

namespace tatara::weights {
namespace fs = std::filesystem;

Result<std::vector<FoundFile>> FilesBelow(const fs::path& folder) {
  // A disk with all models of the catalogue has a few hundred; a home folder given by mistake has
  // more.
  constexpr std::size_t kFilesMax = 100000;
  constexpr int kDepthMax = 4;
  std::error_code code;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, code);
  std::vector<FoundFile> out;
  for (const fs::recursive_directory_iterator end; !code && at != end; at.increment(code)) {
    if (at.depth() >= kDepthMax) at.disable_recursion_pending();
    std::error_code ignored;
    if (!at->is_regular_file(ignored) || ignored) continue;
    const std::uint64_t n_bytes = at->file_size(ignored);
    if (ignored) continue;
    if (out.size() == kFilesMax) {
      return Refuse("{0}: more than {1} files; name the folder that holds the model's",
                    folder.string(), kFilesMax);
    }
    out.push_back({at->path(), n_bytes});
  }
  if (code) {
    return MakeError(ErrorKind::kNotFound, "{0}: cannot be read as a folder: {1}", folder.string(),
                     code.message());
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

}  // namespace tatara::weights
