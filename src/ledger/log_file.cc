#include "log_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tatara/ledger/log.h"

namespace tatara::ledger {
namespace {

constexpr std::string_view kMark = "TLE1";

Result<> ReadAt(int fd, std::uint64_t offset, char* to, std::size_t size,
                const std::filesystem::path& path) {
  while (size > 0) {
    const ssize_t n = ::pread(fd, to, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("{0}: cannot read: {1}", path.string());
    if (n == 0) return Refuse("{0}: ends at byte {1}, inside an entry", path.string(), offset);
    to += n, offset += static_cast<std::uint64_t>(n), size -= static_cast<std::size_t>(n);
  }
  return Ok{};
}

}  // namespace

Result<EntryState> ReadEntryHeader(int fd, std::uint64_t offset, std::uint64_t file_bytes,
                                   const std::filesystem::path& path, EntryHeader& header) {
  if (offset == file_bytes) return EntryState::kEnd;
  if (file_bytes - offset < kEntryHeaderBytes) return EntryState::kTorn;
  char bytes[kEntryHeaderBytes];
  TATARA_RETURN_IF_ERROR(ReadAt(fd, offset, bytes, sizeof bytes, path));
  if (std::string_view(bytes, 4) != kMark) return EntryState::kForeign;
  header.size = LoadLe<std::uint32_t>(bytes + 4);
  std::memcpy(header.leaf.data(), bytes + 8, header.leaf.size());
  if (header.size > kLogEntryBytesMax) return EntryState::kForeign;
  return file_bytes - offset - kEntryHeaderBytes < header.size ? EntryState::kTorn
                                                               : EntryState::kWhole;
}

Result<std::string> ReadEntryBytes(int fd, std::uint64_t offset, std::uint32_t size,
                                   const std::filesystem::path& path) {
  std::string bytes(size, '\0');
  TATARA_RETURN_IF_ERROR(ReadAt(fd, offset, bytes.data(), size, path));
  return bytes;
}

std::string EntryBytes(std::string_view entry, const Digest& leaf) {
  std::string bytes(kMark);
  bytes.resize(8);
  StoreLe(bytes.data() + 4, static_cast<std::uint32_t>(entry.size()));
  bytes += AsText(leaf);
  return bytes.append(entry);
}

Result<std::uint64_t> FileBytes(int fd, const std::filesystem::path& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return ErrnoError("{0}: cannot read: {1}", path.string());
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace tatara::ledger
