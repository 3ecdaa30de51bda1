#include "place_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "tatara/base/descriptor.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

bool Reflink(const fs::path& from, const fs::path& to) {
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const Descriptor target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (source.get() < 0 || target.get() < 0) return false;
  if (::ioctl(target.get(), FICLONE, source.get()) == 0) return true;
  ::unlink(to.c_str());
  return false;
}

}  // namespace

bool ShareBlocks(const fs::path& from, const fs::path& to) {
  if (Reflink(from, to)) return true;
  // A link is to the file itself, not to a symbolic link that leads there.
  return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

Result<> AppendFile(const fs::path& from, std::uint64_t offset, PartialFile& to,
                    FetchContext& context) {
  constexpr std::size_t kBlockBytes = 1 << 20;
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const auto unavailable = [&](std::string_view format) {  // of the source; kIo is for our own disk
    return MakeError(ErrorKind::kUnavailable, format, from.string(),
                     std::generic_category().message(errno));
  };
  if (source.get() < 0) return unavailable("{0}: cannot open: {1}");
  struct stat status;
  if (::fstat(source.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Refuse("{0}: not a regular file", from.string());
  }
  std::string block(kBlockBytes, '\0');
  for (;;) {
    if (context.Stopped()) return StoppedError(from.string());
    const ssize_t n = ::pread(source.get(), block.data(), block.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unavailable("{0}: cannot read: {1}");
    if (n == 0) return Ok{};
    TATARA_RETURN_IF_ERROR(
        to.Append(AsBytes(std::string_view(block).substr(0, static_cast<std::size_t>(n)))));
    offset += static_cast<std::uint64_t>(n);
    context.Report(to.size());
  }
}

Result<> SyncFile(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoError("{0}: cannot open: {1}", path.string());
  if (::fsync(fd.get()) != 0) return ErrnoError("{0}: cannot write: {1}", path.string());
  return Ok{};
}

Result<> CheckFreeSpace(const fs::path& folder, std::uint64_t n_bytes) {
  // For journals, records and folders.
  constexpr std::uint64_t kReserveBytes = 1 << 20;
  struct statvfs status;
  if (::statvfs(folder.c_str(), &status) != 0) return Ok{};  // writing will tell
  const std::uint64_t free_bytes = status.f_bavail * static_cast<std::uint64_t>(status.f_frsize);
  if (free_bytes >= n_bytes + kReserveBytes) return Ok{};
  return MakeError(ErrorKind::kIo, "{0}: {1} MB free, {2} MB needed", folder.string(),
                   free_bytes / 1'000'000, (n_bytes + kReserveBytes + 999'999) / 1'000'000);
}

}  // namespace tatara::weights
