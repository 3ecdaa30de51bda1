#include "huggingface/export_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "tatara/base/check.h"
#include "tatara/base/files.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

}  // namespace

Result<NewFile> NewFile::Create(const fs::path& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError("{0}: cannot create: {1}", path.string());
  return NewFile(fd, path.string());
}

NewFile::NewFile(NewFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

NewFile::~NewFile() {
  if (fd_ >= 0) close(fd_);
}

Result<> NewFile::Write(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("{0}: cannot write: {1}", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return Ok{};
}

Result<> NewFile::Finish() {
  const int fd = std::exchange(fd_, -1);
  TATARA_CHECK(fd >= 0);
  const bool flushed = fsync(fd) == 0;
  const int error = errno;
  const bool closed = close(fd) == 0;
  if (flushed && closed) return Ok{};
  if (!flushed) errno = error;
  return ErrnoError("{0}: cannot write: {1}", path_);
}

Result<PartialFolder> PartialFolder::Create(const fs::path& final_path) {
  std::error_code error;
  fs::path whole = fs::absolute(final_path, error);
  if (!whole.has_filename()) whole = whole.parent_path();
  if (fs::exists(fs::symlink_status(whole, error))) {
    return Refuse("{0}: exists already; name a new folder", final_path.string());
  }
  const fs::path partial = whole.parent_path() / ("." + whole.filename().string() + ".partial-" +
                                                  std::to_string(getpid()));
  fs::create_directories(whole.parent_path(), error);
  if (!fs::create_directory(partial, error)) {
    if (error) errno = error.value();
    return ErrnoError("{0}: cannot create: {1}", partial.string());
  }
  return PartialFolder(partial, whole);
}

PartialFolder::PartialFolder(PartialFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})), final_(std::move(other.final_)) {}

PartialFolder::~PartialFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<> PartialFolder::MakeFolder(const std::string& name) const {
  std::error_code error;
  if (fs::create_directory(path_ / name, error)) return Ok{};
  if (error) errno = error.value();
  return ErrnoError("{0}: cannot create: {1}", (path_ / name).string());
}

Result<> PartialFolder::WriteText(const std::string& name, std::string_view text) const {
  TATARA_TRY(NewFile file, NewFile::Create(path_ / name));
  TATARA_RETURN_IF_ERROR(file.Write(AsBytes(text)));
  return file.Finish();
}

Result<> PartialFolder::Land() {
  TATARA_RETURN_IF_ERROR(SyncFolder(path_));
  // An empty folder of that name would be replaced; anything else makes it fail.
  if (rename(path_.c_str(), final_.c_str()) != 0) {
    return ErrnoError("{0}: cannot create: {1}", final_.string());
  }
  path_.clear();
  return SyncFolder(final_.parent_path());
}

}  // namespace tatara::weights
