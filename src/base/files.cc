#include "tatara/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tatara/base/descriptor.h"
#include "tatara/base/sha256.h"

namespace tatara {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCannotOpen = "{0}: cannot open: {1}";
constexpr std::string_view kCannotRead = "{0}: cannot read: {1}";
constexpr std::string_view kCannotWrite = "{0}: cannot write: {1}";

Result<> WriteAll(int fd, std::string_view content, const std::string& name) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(kCannotWrite, name);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return Ok{};
}

}  // namespace

Result<MappedFile> MappedFile::Open(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoError(kCannotOpen, path.string());
  struct stat status;
  if (::fstat(file.get(), &status) != 0) return ErrnoError(kCannotRead, path.string());
  if (!S_ISREG(status.st_mode)) return Refuse("{0}: not a regular file", path.string());
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return MappedFile(path, {});
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) return ErrnoError("{0}: cannot map into memory: {1}", path.string());
  return MappedFile(path, {static_cast<const std::byte*>(address), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::string> ReadWholeFile(const fs::path& path, std::uint64_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoError(kCannotOpen, path.string());
  std::string out;
  std::string block(1 << 16, '\0');
  for (;;) {
    const ssize_t n = ::read(file.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(kCannotRead, path.string());
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > bytes_max) {
      return Refuse("{0}: larger than {1} bytes, the most that is read here", path.string(),
                    bytes_max);
    }
    out.append(block.data(), static_cast<std::size_t>(n));
  }
}

Result<> SyncFolder(const fs::path& folder) {
  const Descriptor fd(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoError(kCannotOpen, folder.string());
  if (::fsync(fd.get()) != 0) return ErrnoError(kCannotWrite, folder.string());
  return Ok{};
}

Result<> WriteFileAtomically(const fs::path& path, std::string_view content,
                             const WriteOptions& options) {
  const fs::path folder = path.parent_path();
  std::string aside = (folder / ("." + path.filename().string() + ".XXXXXX")).string();
  const Descriptor file(::mkostemp(aside.data(), O_CLOEXEC));
  if (file.get() < 0) return ErrnoError(kCannotWrite, path.string());
  const auto abandon = [&](Error error) {
    ::unlink(aside.c_str());
    return error;
  };
  if (::fchmod(file.get(), options.mode) != 0) {
    return abandon(ErrnoError(kCannotWrite, path.string()));
  }
  if (auto written = WriteAll(file.get(), content, path.string()); !written.ok()) {
    return abandon(written.error());
  }
  if (::fsync(file.get()) != 0 || ::rename(aside.c_str(), path.c_str()) != 0) {
    return abandon(ErrnoError(kCannotWrite, path.string()));
  }
  return SyncFolder(folder);
}

Result<FileLock> FileLock::Acquire(const fs::path& path, int wait_ms_max) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoError(kCannotOpen, path.string());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms_max);
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      Error error = ErrnoError(kCannotOpen, path.string());
      ::close(fd);
      return error;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      ::close(fd);
      return MakeError(ErrorKind::kUnavailable,
                       "{0}: another process is using this; try again when it has ended",
                       path.string());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return FileLock(fd);
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::string> Sha256OfFile(const fs::path& path,
                                 const std::function<bool(std::uint64_t)>& progress) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoError(kCannotOpen, path.string());
  Sha256 digest;
  std::string block(1 << 20, '\0');
  std::uint64_t done = 0;
  for (;;) {
    const ssize_t n = ::read(file.get(), block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(kCannotRead, path.string());
    if (n == 0) return ToHex(digest.Finish());
    digest.Update(std::string_view(block.data(), static_cast<std::size_t>(n)));
    done += static_cast<std::uint64_t>(n);
    if (progress && !progress(done)) {
      return MakeError(ErrorKind::kCancelled, "{0}: stopped while reading", path.string());
    }
  }
}

fs::path TataraHome() {
  if (const char* home = std::getenv("TATARA_HOME"); home && *home) return home;
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data)
    return fs::path(data) / "tatara";
  const char* home = std::getenv("HOME");
  return fs::path(home && *home ? home : "/") / ".local" / "share" / "tatara";
}

}  // namespace tatara
