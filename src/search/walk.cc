#include "walk.h"

#include <algorithm>

#include "tatara/documents/document.h"
#include "tatara/search/index.h"

namespace tatara::search {
namespace {

namespace fs = std::filesystem;

Error WalkError(const fs::path& path, const std::error_code& code) {
  return MakeError(ErrorKind::kIo, "{0}: {1}", path.string(), code.message());
}

Result<> WalkFolder(const fs::path& folder, const fs::path& name, int depth, Walk& walk) {
  if (depth > kFolderDepthMax) {
    return Refuse("{0}: folders nested deeper than {1}", folder.string(), kFolderDepthMax);
  }
  std::error_code code;
  fs::directory_iterator it(folder, code);
  if (code) return WalkError(folder, code);
  while (it != fs::directory_iterator()) {
    const fs::directory_entry& entry = *it;
    const std::string leaf = entry.path().filename().string();
    const fs::file_status status = entry.symlink_status(code);
    if (code) return WalkError(entry.path(), code);
    if (leaf.starts_with('.') || fs::is_symlink(status)) {
      ++walk.skipped;
    } else if (fs::is_directory(status)) {
      TATARA_RETURN_IF_ERROR(WalkFolder(entry.path(), name / leaf, depth + 1, walk));
    } else if (fs::is_regular_file(status) && documents::IsReadableFormat(leaf)) {
      if (walk.files.size() >= kFilesPerAddMax) {
        return Refuse("{0}: more than {1} files; add its folders one by one", folder.string(),
                      kFilesPerAddMax);
      }
      walk.files.push_back({entry.path().string(), (name / leaf).string()});
    } else {
      ++walk.skipped;
    }
    it.increment(code);
    if (code) return WalkError(folder, code);
  }
  return Ok{};
}

}  // namespace

Result<Walk> FilesOf(const std::vector<fs::path>& paths) {
  Walk walk;
  for (const fs::path& given : paths) {
    std::error_code code;
    const fs::path path = fs::canonical(given, code);
    if (code == std::errc::no_such_file_or_directory) {
      return MakeError(ErrorKind::kNotFound, "{0}: no such file or folder", given.string());
    }
    if (code) return WalkError(given, code);
    if (fs::is_directory(path, code)) {
      walk.folders.push_back(path.string());
      TATARA_RETURN_IF_ERROR(WalkFolder(path, path.filename(), 1, walk));
    } else {
      walk.files.push_back({path.string(), path.filename().string()});
    }
  }
  const auto by_path = [](const FoundFile& a, const FoundFile& b) { return a.path < b.path; };
  std::stable_sort(walk.files.begin(), walk.files.end(), by_path);
  const auto same = [](const FoundFile& a, const FoundFile& b) { return a.path == b.path; };
  walk.files.erase(std::unique(walk.files.begin(), walk.files.end(), same), walk.files.end());
  return walk;
}

}  // namespace tatara::search
