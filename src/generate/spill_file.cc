#include "spill_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

namespace tatara::generate {
namespace {

constexpr std::string_view kMagic = "TATARAKV";
constexpr std::uint32_t kVersion = 1;

using Header = std::array<std::byte, kSpillHeaderBytes>;

Header MakeHeader(const SpillFileId& id, ByteSpan page) {
  Header header{};
  std::ranges::copy(AsBytes(kMagic), header.begin());
  StoreLe(header.data() + 8, kVersion);
  std::ranges::copy(id.identity, header.begin() + 16);
  std::ranges::copy(id.key, header.begin() + 48);
  StoreLe(header.data() + 80, static_cast<std::uint64_t>(page.size()));
  std::ranges::copy(Sha256Of(page), header.begin() + 96);
  return header;
}

bool WriteAll(int fd, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool ReadAll(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::read(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

bool WriteSpillFile(const std::filesystem::path& path, const SpillFileId& id, ByteSpan page) {
  const std::string aside = path.string() + ".new";
  ::unlink(aside.c_str());
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool written = WriteAll(fd, MakeHeader(id, page)) && WriteAll(fd, page);
  // A disk may say only now that it is full.
  if (::close(fd) == 0 && written && ::rename(aside.c_str(), path.c_str()) == 0) return true;
  ::unlink(aside.c_str());
  return false;
}

SpillRead ReadSpillFile(const std::filesystem::path& path, const SpillFileId& id,
                        std::span<std::byte> page) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? SpillRead::kMissing : SpillRead::kBroken;
  struct stat status;
  Header header;
  const bool whole = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                     static_cast<std::uint64_t>(status.st_size) == header.size() + page.size() &&
                     ReadAll(fd, header) && ReadAll(fd, page);
  // Its place among the least recently used survives a restart.
  if (whole) ::futimens(fd, nullptr);
  ::close(fd);
  return whole && header == MakeHeader(id, page) ? SpillRead::kWhole : SpillRead::kBroken;
}

}  // namespace tatara::generate
