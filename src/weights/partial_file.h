// A file on its way in: its bytes so far, and beside them a journal (".json") that says from which
// source, how many parts are complete, and by what the server names this version of the bytes.
//
// After kill -9 the bytes that the journal speaks of are there. Bytes beyond them are kept where
// the source can go on at any byte (the digest over the whole decides in the end), and cut off
// where it can not. Thread safety: one object, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"

namespace tatara::weights {

class PartialFile {
 public:
  // Opens or creates `path`. A journal of another source, or a damaged one, means: from the start.
  static Result<PartialFile> Open(const std::filesystem::path& path, std::string source);
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile();

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  int parts_done() const { return parts_done_; }
  const std::string& validator() const { return validator_; }

  // kIo where the disk refuses, a full one for example.
  Result<> Append(ByteSpan bytes);
  Result<> Restart();  // empty again
  Result<> CutToJournal();
  // Everything so far is on disk and the journal says so.
  Result<> Commit(int parts_done, std::string validator);
  // Closes and removes file and journal.
  void Discard();
  // Closes; the journal goes, the file stays at `path()` for the caller to move.
  void Release();

 private:
  PartialFile(std::filesystem::path path, std::string source, int fd)
      : path_(std::move(path)), source_(std::move(source)), fd_(fd) {}
  std::filesystem::path JournalPath() const;
  void ReadJournal();
  Result<> Cut(std::uint64_t n_bytes);
  void Close();

  std::filesystem::path path_;
  std::string source_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t committed_ = 0;
  bool has_journal_ = false;
  int parts_done_ = 0;
  std::string validator_;
};

}  // namespace tatara::weights
