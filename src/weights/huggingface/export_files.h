// Files of an export: written once, flushed to the disk, in a folder that appears whole or not at
// all. Thread safety: one thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"

namespace tatara::weights {

// A new file; what was written counts after Finish.
class NewFile {
 public:
  static Result<NewFile> Create(const std::filesystem::path& path);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  Result<> Write(ByteSpan bytes);
  Result<> Finish();  // fsync and close, once

 private:
  NewFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

// A folder beside `final_path`, removed with its content unless it landed.
class PartialFolder {
 public:
  // Refused where `final_path` is there already.
  static Result<PartialFolder> Create(const std::filesystem::path& final_path);
  PartialFolder(PartialFolder&& other) noexcept;
  PartialFolder& operator=(PartialFolder&&) = delete;
  ~PartialFolder();

  const std::filesystem::path& path() const { return path_; }
  Result<> MakeFolder(const std::string& name) const;
  Result<> WriteText(const std::string& name, std::string_view text) const;
  Result<> Land();  // takes its final name, once

 private:
  PartialFolder(std::filesystem::path path, std::filesystem::path final_path)
      : path_(std::move(path)), final_(std::move(final_path)) {}
  std::filesystem::path path_, final_;  // path_ empty: landed or moved
};

}  // namespace tatara::weights
