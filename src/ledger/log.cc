#include "tatara/ledger/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "log_file.h"
#include "tatara/base/check.h"
#include "tatara/base/files.h"

namespace tatara::ledger {
namespace {

namespace fs = std::filesystem;

constexpr int kLockWaitMs = 30'000;

fs::path EntriesPath(const fs::path& folder) {
  return folder / "entries";
}
fs::path CheckpointPath(const fs::path& folder) {
  return folder / "checkpoint";
}

// The log's checkpoint; of size 0 where there is none yet.
Result<Checkpoint> ReadCheckpoint(const fs::path& folder, const NoteKey& key) {
  const fs::path path = CheckpointPath(folder);
  std::error_code error;
  if (!fs::exists(path, error)) return Checkpoint{.origin = key.name, .root = TreeHash({})};
  TATARA_TRY(const std::string note, ReadWholeFile(path, kNoteBytesMax));
  TATARA_TRY(const std::string text, OpenNote(note, key, path.string()));
  TATARA_TRY(Checkpoint checkpoint, ParseCheckpoint(text, path.string()));
  if (checkpoint.origin != key.name) {
    return Refuse("{0}: a checkpoint of the log '{1}', expected '{2}'", path.string(),
                  checkpoint.origin, key.name);
  }
  return checkpoint;
}

Result<> WriteAll(int fd, std::string_view bytes, std::uint64_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("{0}: cannot write: {1}", path.string());
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return Ok{};
}

}  // namespace

Log::Log(fs::path folder, std::string name, const SigningKey& key)
    : folder_(std::move(folder)), name_(std::move(name)), key_(key) {}

Log::~Log() {
  if (fd_ >= 0) ::close(fd_);
}

NoteKey Log::key() const {
  return {name_, key_.public_key()};
}

Result<std::unique_ptr<Log>> Log::Open(const fs::path& folder, std::string name,
                                       const SigningKey& key) {
  std::unique_ptr<Log> log(new Log(folder, std::move(name), key));
  std::error_code error;
  fs::create_directories(folder, error);
  TATARA_TRY([[maybe_unused]] const auto lock, FileLock::Acquire(folder / "lock", kLockWaitMs));
  const fs::path path = EntriesPath(folder);
  log->fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (log->fd_ < 0) return ErrnoError("{0}: cannot write: {1}", path.string());
  TATARA_RETURN_IF_ERROR(SyncFolder(folder));
  TATARA_RETURN_IF_ERROR(log->ReadNew());
  return log;
}

Result<> Log::Refresh() {
  TATARA_TRY([[maybe_unused]] const auto lock, FileLock::Acquire(folder_ / "lock", kLockWaitMs));
  return ReadNew();
}

// Takes in what follows what is known, under the lock. Entries beyond the checkpoint were never
// acknowledged: whole ones stay, the rest of a torn one is cut off.
Result<> Log::ReadNew() {
  const fs::path path = EntriesPath(folder_);
  TATARA_TRY(const Checkpoint checkpoint, ReadCheckpoint(folder_, key()));
  TATARA_TRY(const std::uint64_t file_bytes, FileBytes(fd_, path));
  if (checkpoint.size == size() && size() > 0 && checkpoint.root != frontier_.Root()) {
    return Refuse("{0}: the entries do not have the root that the checkpoint signs", path.string());
  }
  for (;;) {
    EntryHeader header;
    TATARA_TRY(const EntryState state, ReadEntryHeader(fd_, end_, file_bytes, path, header));
    if (state == EntryState::kEnd) break;
    const std::uint64_t offset = end_ + kEntryHeaderBytes;
    bool is_whole = state == EntryState::kWhole;
    if (is_whole && size() >= checkpoint.size) {  // its writer may have been stopped
      TATARA_TRY(const std::string bytes, ReadEntryBytes(fd_, offset, header.size, path));
      is_whole = LeafHash(AsBytes(bytes)) == header.leaf;
    }
    if (!is_whole) {
      if (size() < checkpoint.size) {
        return Refuse("{0}: entry {1} is not as it was written", path.string(), size());
      }
      if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0 || ::fsync(fd_) != 0) {
        return ErrnoError("{0}: cannot write: {1}", path.string());
      }
      break;
    }
    leaves_.push_back(header.leaf);
    offsets_.push_back(offset);
    frontier_.Append(header.leaf);
    end_ = offset + header.size;
    if (size() == checkpoint.size && frontier_.Root() != checkpoint.root) {
      return Refuse("{0}: the entries do not have the root that the checkpoint signs",
                    path.string());
    }
  }
  if (size() < checkpoint.size) {
    return Refuse("{0}: {1} entries, but the checkpoint signs {2}", path.string(), size(),
                  checkpoint.size);
  }
  return Ok{};
}

Result<> Log::Sign() {
  const Checkpoint checkpoint{.origin = name_, .size = size(), .root = frontier_.Root()};
  return WriteFileAtomically(CheckpointPath(folder_),
                             SignNote(CheckpointText(checkpoint), name_, key_), {.mode = 0600});
}

Result<std::uint64_t> Log::Append(std::string_view entry) {
  const std::string entries[] = {std::string(entry)};
  return AppendAll(entries);
}

Result<std::uint64_t> Log::AppendAll(std::span<const std::string> entries) {
  const fs::path path = EntriesPath(folder_);
  TATARA_TRY([[maybe_unused]] const auto lock, FileLock::Acquire(folder_ / "lock", kLockWaitMs));
  TATARA_RETURN_IF_ERROR(ReadNew());
  const std::uint64_t first = size(), start = end_;
  std::string bytes;
  std::vector<Digest> hashes;
  std::vector<std::uint64_t> offsets;
  for (const std::string& entry : entries) {
    if (entry.size() > kLogEntryBytesMax) {
      return Refuse("{0}: an entry of {1} bytes, the most is {2}", path.string(), entry.size(),
                    kLogEntryBytesMax);
    }
    hashes.push_back(LeafHash(AsBytes(entry)));
    offsets.push_back(start + bytes.size() + kEntryHeaderBytes);
    bytes += EntryBytes(entry, hashes.back());
  }
  auto written = WriteAll(fd_, bytes, start, path);
  if (written.ok() && ::fdatasync(fd_) != 0) {
    written = ErrnoError("{0}: cannot write: {1}", path.string());
  }
  if (!written.ok()) {  // a full disk, mostly: what was written of it goes
    static_cast<void>(::ftruncate(fd_, static_cast<off_t>(start)));
    return written.error();
  }
  const TreeFrontier before = frontier_;
  for (const Digest& hash : hashes) frontier_.Append(hash);
  leaves_.insert(leaves_.end(), hashes.begin(), hashes.end());
  offsets_.insert(offsets_.end(), offsets.begin(), offsets.end());
  end_ = start + bytes.size();
  auto is_signed = Sign();
  if (!is_signed.ok()) {
    frontier_ = before;
    leaves_.resize(first);
    offsets_.resize(first);
    end_ = start;
    static_cast<void>(::ftruncate(fd_, static_cast<off_t>(start)));
    return is_signed.error();
  }
  return first;
}

Result<std::string> Log::Entry(std::uint64_t index) const {
  TATARA_CHECK(index < size());
  const fs::path path = EntriesPath(folder_);
  const std::uint64_t next = index + 1 < size() ? offsets_[index + 1] - kEntryHeaderBytes : end_;
  TATARA_TRY(std::string bytes,
             ReadEntryBytes(fd_, offsets_[index],
                            static_cast<std::uint32_t>(next - offsets_[index]), path));
  if (LeafHash(AsBytes(bytes)) != leaves_[index]) {
    return Refuse("{0}: entry {1} is not as it was written", path.string(), index);
  }
  return bytes;
}

Result<std::string> Log::SignedCheckpoint() const {
  return ReadWholeFile(CheckpointPath(folder_), kNoteBytesMax);
}

}  // namespace tatara::ledger
