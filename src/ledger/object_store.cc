#include "tatara/ledger/object_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>
#include <vector>

#include "tatara/base/descriptor.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"

namespace tatara::ledger {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAside = "aside";  // the folder of what is being written
constexpr std::size_t kCopyBytes = 1U << 20;
constexpr int kLockWaitMs = 60'000;  // collecting holds it for one object at a time

// Whoever lands or takes up an object, and whoever removes one, does it alone: what was found old
// and unreached is not taken up by another before it is gone.
Result<FileLock> Lock(const fs::path& objects) {
  std::error_code error;
  fs::create_directories(objects, error);
  return FileLock::Acquire(objects / "lock", kLockWaitMs);
}

// As if it were written now, so that it is not collected before its record is in the log.
Result<> MakeYoung(const fs::path& path) {
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return Ok{};
  return ErrnoError("{0}: cannot write: {1}", path.string());
}

// Written here first; removed where it did not land.
class AsideFile {
 public:
  static Result<AsideFile> Make(const fs::path& folder) {
    static std::atomic<unsigned> next{0};
    std::error_code error;
    fs::create_directories(folder, error);
    AsideFile file;
    file.path_ = folder / (std::to_string(::getpid()) + "." + std::to_string(next++));
    file.fd_ = ::open(file.path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file.fd_ < 0) return ErrnoError("{0}: cannot write: {1}", file.path_.string());
    return file;
  }
  AsideFile(AsideFile&& other) noexcept : path_(std::move(other.path_)), fd_(other.fd_) {
    other.fd_ = -1;
    other.path_.clear();
  }
  AsideFile& operator=(AsideFile&&) = delete;
  ~AsideFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  Result<> Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoError("{0}: cannot write: {1}", path_.string());
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return Ok{};
  }
  Result<> Close() {
    const bool synced = ::fchmod(fd_, 0400) == 0 && ::fsync(fd_) == 0;
    const int problem = errno;
    ::close(std::exchange(fd_, -1));
    errno = problem;
    if (!synced) return ErrnoError("{0}: cannot write: {1}", path_.string());
    return Ok{};
  }
  const fs::path& path() const { return path_; }

 private:
  AsideFile() = default;
  fs::path path_;
  int fd_ = -1;
};

bool IsOlderThan(const fs::path& path, std::chrono::seconds age) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return false;
  return ::time(nullptr) - status.st_mtime >= age.count();
}

}  // namespace

bool IsDigestText(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<fs::path> ObjectStore::PathOf(std::string_view digest) const {
  if (!IsDigestText(digest)) {
    return Refuse("a digest has 64 hexadecimal digits, 0-9 and a-f; found {0} characters",
                  digest.size());
  }
  return folder_ / "objects" / digest.substr(0, 2) / digest.substr(2);
}

bool ObjectStore::Has(std::string_view digest) const {
  const auto path = PathOf(digest);
  std::error_code error;
  return path.ok() && fs::is_regular_file(*path, error);
}

Result<> ObjectStore::Land(const fs::path& aside, const std::string& digest) const {
  TATARA_TRY(const fs::path path, PathOf(digest));
  TATARA_TRY([[maybe_unused]] const FileLock lock, Lock(folder_ / "objects"));
  std::error_code error;
  const bool is_new = fs::create_directory(path.parent_path(), error);
  if (::rename(aside.c_str(), path.c_str()) != 0) {
    return ErrnoError("{0}: cannot write: {1}", path.string());
  }
  if (is_new) TATARA_RETURN_IF_ERROR(SyncFolder(folder_ / "objects"));
  return SyncFolder(path.parent_path());
}

Result<std::string> ObjectStore::Put(std::string_view bytes) const {
  std::string digest = Sha256Hex(bytes);
  if (Has(digest)) {
    TATARA_TRY([[maybe_unused]] const FileLock lock, Lock(folder_ / "objects"));
    if (Verify(digest).ok()) {
      TATARA_TRY(const fs::path path, PathOf(digest));
      TATARA_RETURN_IF_ERROR(MakeYoung(path));
      return digest;
    }
  }
  TATARA_TRY(AsideFile aside, AsideFile::Make(folder_ / "objects" / kAside));
  TATARA_RETURN_IF_ERROR(aside.Write(bytes));
  TATARA_RETURN_IF_ERROR(aside.Close());
  TATARA_RETURN_IF_ERROR(Land(aside.path(), digest));
  return digest;
}

// Hashed while it is copied, so that a file which changes meanwhile has the copy's digest.
Result<std::string> ObjectStore::PutFile(const fs::path& file) const {
  const Descriptor from(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (from.get() < 0) return ErrnoError("{0}: cannot read: {1}", file.string());
  TATARA_TRY(AsideFile aside, AsideFile::Make(folder_ / "objects" / kAside));
  Sha256 hash;
  std::string buffer(kCopyBytes, '\0');
  for (;;) {
    const ssize_t n = ::read(from.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("{0}: cannot read: {1}", file.string());
    if (n == 0) break;
    const std::string_view part(buffer.data(), static_cast<std::size_t>(n));
    hash.Update(part);
    TATARA_RETURN_IF_ERROR(aside.Write(part));
  }
  TATARA_RETURN_IF_ERROR(aside.Close());
  std::string digest = ToHex(hash.Finish());
  TATARA_RETURN_IF_ERROR(Land(aside.path(), digest));
  return digest;
}

Result<std::string> ObjectStore::Get(std::string_view digest, std::uint64_t bytes_max) const {
  TATARA_TRY(const fs::path path, PathOf(digest));
  if (!Has(digest)) {
    return MakeError(ErrorKind::kNotFound, "{0}: there is no such object", std::string(digest));
  }
  TATARA_TRY(std::string bytes, ReadWholeFile(path, bytes_max));
  if (Sha256Hex(bytes) != digest) {
    return Refuse("{0}: the object was changed: its bytes have another SHA-256", path.string());
  }
  return bytes;
}

Result<> ObjectStore::Verify(std::string_view digest) const {
  TATARA_TRY(const fs::path path, PathOf(digest));
  if (!Has(digest)) {
    return MakeError(ErrorKind::kNotFound, "{0}: there is no such object", std::string(digest));
  }
  TATARA_TRY(const std::string found, Sha256OfFile(path));
  if (found != digest) {
    return Refuse("{0}: the object was changed: its bytes have another SHA-256", path.string());
  }
  return Ok{};
}

Result<std::vector<std::string>> ObjectStore::All() const {
  std::vector<std::string> digests;
  std::error_code error;
  for (fs::directory_iterator outer(folder_ / "objects", error), end; !error && outer != end;
       outer.increment(error)) {
    const std::string start = outer->path().filename();
    if (start.size() != 2) continue;
    std::error_code inner_error;
    for (fs::directory_iterator inner(outer->path(), inner_error); !inner_error && inner != end;
         inner.increment(inner_error)) {
      const std::string digest = start + inner->path().filename().string();
      if (IsDigestText(digest)) digests.push_back(digest);
    }
    if (inner_error) error = inner_error;
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return MakeError(ErrorKind::kIo, "{0}: cannot read: {1}", folder_.string(), error.message());
  }
  std::ranges::sort(digests);
  return digests;
}

Result<ObjectStore::Collected> ObjectStore::Collect(
    const std::set<std::string, std::less<>>& reached, const CollectOptions& options) const {
  Collected collected;
  TATARA_TRY(const std::vector<std::string> digests, All());
  for (const std::string& digest : digests) {
    TATARA_TRY(const fs::path path, PathOf(digest));
    if (reached.contains(digest) || !IsOlderThan(path, options.age_min)) continue;
    TATARA_TRY([[maybe_unused]] const FileLock lock, Lock(folder_ / "objects"));
    if (!IsOlderThan(path, options.age_min)) continue;  // taken up meanwhile, or removed
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(path, error);
    if (!options.dry_run && ::unlink(path.c_str()) != 0) {
      return ErrnoError("{0}: cannot remove: {1}", path.string());
    }
    ++collected.n_objects;
    collected.bytes += error ? 0 : bytes;
  }
  if (options.dry_run) return collected;
  const auto age = std::max<std::chrono::seconds>(options.age_min, std::chrono::hours(1));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_ / "objects" / kAside, error)) {
    if (IsOlderThan(entry.path(), age)) {
      ::unlink(entry.path().c_str());
    }
  }
  return collected;
}

}  // namespace tatara::ledger
