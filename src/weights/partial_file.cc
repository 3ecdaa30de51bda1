#include "partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "tatara/base/files.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCannotWrite = "{0}: cannot write: {1}";

}  // namespace

fs::path PartialFile::JournalPath() const {
  return path_.string() + ".json";
}

Result<PartialFile> PartialFile::Open(const fs::path& path, std::string source) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoError(kCannotWrite, path.string());
  PartialFile file(path, std::move(source), fd);
  struct stat status;
  if (::fstat(fd, &status) != 0) return ErrnoError(kCannotWrite, path.string());
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  file.ReadJournal();
  if (!file.has_journal_) {
    TATARA_RETURN_IF_ERROR(file.Restart());
  } else {
    TATARA_RETURN_IF_ERROR(file.Cut(file.size_));
  }
  return file;
}

void PartialFile::ReadJournal() {
  constexpr std::uint64_t kJournalBytesMax = 1 << 16;
  const auto text = ReadWholeFile(JournalPath(), kJournalBytesMax);
  if (!text.ok()) return;
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object() || json.value("source", nlohmann::json()) != source_) return;
  const auto bytes = json.find("bytes");
  const auto parts = json.find("parts_done");
  const auto validator = json.find("validator");
  if (bytes == json.end() || !bytes->is_number_unsigned() || parts == json.end() ||
      !parts->is_number_unsigned() || validator == json.end() || !validator->is_string()) {
    return;
  }
  if (bytes->get<std::uint64_t>() > size_ || parts->get<std::uint64_t>() > 1u << 20) return;
  committed_ = bytes->get<std::uint64_t>();
  parts_done_ = parts->get<int>();
  validator_ = validator->get<std::string>();
  has_journal_ = true;
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::move(other.path_)),
      source_(std::move(other.source_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      committed_(other.committed_),
      has_journal_(other.has_journal_),
      parts_done_(other.parts_done_),
      validator_(std::move(other.validator_)) {}

PartialFile::~PartialFile() {
  Close();
}

void PartialFile::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<> PartialFile::Append(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(kCannotWrite, path_.string());
    size_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return Ok{};
}

Result<> PartialFile::Cut(std::uint64_t n_bytes) {
  const auto offset = static_cast<off_t>(n_bytes);
  if (::ftruncate(fd_, offset) != 0 || ::lseek(fd_, offset, SEEK_SET) != offset) {
    return ErrnoError(kCannotWrite, path_.string());
  }
  size_ = n_bytes;
  return Ok{};
}

Result<> PartialFile::Restart() {
  std::error_code ignored;
  fs::remove(JournalPath(), ignored);
  committed_ = 0;
  has_journal_ = false;
  parts_done_ = 0;
  validator_.clear();
  return Cut(0);
}

Result<> PartialFile::CutToJournal() {
  return Cut(committed_);
}

Result<> PartialFile::Commit(int parts_done, std::string validator) {
  if (::fdatasync(fd_) != 0) return ErrnoError(kCannotWrite, path_.string());
  const nlohmann::json json = {{"source", source_},
                               {"bytes", size_},
                               {"parts_done", static_cast<std::uint64_t>(parts_done)},
                               {"validator", validator}};
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(
      JournalPath(), json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  committed_ = size_;
  has_journal_ = true;
  parts_done_ = parts_done;
  validator_ = std::move(validator);
  return Ok{};
}

void PartialFile::Discard() {
  Release();
  std::error_code ignored;
  fs::remove(path_, ignored);
}

void PartialFile::Release() {
  Close();
  std::error_code ignored;
  fs::remove(JournalPath(), ignored);
}

}  // namespace tatara::weights
