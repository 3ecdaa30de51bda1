// Files: mapping, whole reads, writes that are whole or absent, locks.
// Errors name the path and what the system said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"

namespace tatara {

// A file mapped read-only; moves, does not copy. Empty files map to an empty span.
// Thread safety: reading from any thread.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  ByteSpan bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, ByteSpan bytes) : path_(std::move(path)), bytes_(bytes) {}
  std::filesystem::path path_;
  ByteSpan bytes_;
};

// Refuses files larger than `bytes_max`.
Result<std::string> ReadWholeFile(const std::filesystem::path& path, std::uint64_t bytes_max);

struct WriteOptions {
  unsigned mode = 0644;
};

// Writes beside `path`, fsyncs, renames over it, fsyncs the folder: the old content or the new,
// never a part.
Result<> WriteFileAtomically(const std::filesystem::path& path, std::string_view content,
                             const WriteOptions& options = {});

// fsync of a folder, so that a rename in it survives a crash.
Result<> SyncFolder(const std::filesystem::path& folder);

// An exclusive advisory lock on a file (created when missing), held until destruction.
class FileLock {
 public:
  // Waits at most `wait_ms_max`; then refuses, naming the path.
  static Result<FileLock> Acquire(const std::filesystem::path& path, int wait_ms_max);
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// SHA-256 of a file's content, hexadecimal. `progress` (may be empty) gets the bytes done; false
// cancels.
Result<std::string> Sha256OfFile(const std::filesystem::path& path,
                                 const std::function<bool(std::uint64_t)>& progress = {});

// The data directory: TATARA_HOME, else $XDG_DATA_HOME/tatara, else ~/.local/share/tatara. Not
// created.
std::filesystem::path TataraHome();

}  // namespace tatara
