// Which files a path stands for. Hidden names and symbolic links below a folder are skipped, other
// extensions too; the order is that of the paths' bytes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::search {

struct FoundFile {
  std::string path;  // absolute
  std::string name;  // "FOLDER/sub/file.md" below a folder, else the file's own name
};

struct Walk {
  std::vector<FoundFile> files;      // by path, each once
  std::vector<std::string> folders;  // the given ones, absolute
  int skipped = 0;
};

// kNotFound for a path that does not exist; refuses past kFilesPerAddMax and kFolderDepthMax.
Result<Walk> FilesOf(const std::vector<std::filesystem::path>& paths);

}  // namespace tatara::search
