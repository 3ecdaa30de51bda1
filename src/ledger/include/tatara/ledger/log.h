// An append-only log of entries under a Merkle tree (RFC 6962) with a signed checkpoint (C2SP).
//
// FOLDER/entries: the entries, one after the other, each as "TLE1", its size (u32), its leaf hash
// (32 bytes), its bytes. FOLDER/checkpoint: the signed note over all of them. Append writes the
// entry, fsyncs, replaces the checkpoint (fsync, rename, fsync), and only then returns: what was
// acknowledged survives a crash of program or machine, and of an entry that was not there is
// nothing, or all (then the next Append's checkpoint counts it in).
//
// Thread safety: one thread per Log; any number of processes and Logs on one folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/ledger/checkpoint.h"
#include "tatara/ledger/keys.h"
#include "tatara/ledger/merkle.h"

namespace tatara::ledger {

inline constexpr std::uint32_t kLogEntryBytesMax = 16U << 20;

class Log {
 public:
  // Made where there is none. `name` is the log's origin and the key's name. Refused: entries that
  // are fewer than the checkpoint says or have another root, a checkpoint that is not this key's.
  static Result<std::unique_ptr<Log>> Open(const std::filesystem::path& folder, std::string name,
                                           const SigningKey& key);
  ~Log();

  // The new entry's index, once it is on disk.
  Result<std::uint64_t> Append(std::string_view entry);
  // All or none, under one checkpoint; the first one's index.
  Result<std::uint64_t> AppendAll(std::span<const std::string> entries);

  // As of Open or the last Append; Refresh also sees what other processes have added.
  Result<> Refresh();
  std::uint64_t size() const { return leaves_.size(); }
  std::span<const Digest> leaves() const { return leaves_; }
  // The entry's bytes, held against its leaf hash.
  Result<std::string> Entry(std::uint64_t index) const;
  // The signed note.
  Result<std::string> SignedCheckpoint() const;
  NoteKey key() const;

 private:
  Log(std::filesystem::path folder, std::string name, const SigningKey& key);
  Result<> ReadNew();
  Result<> Sign();

  const std::filesystem::path folder_;
  const std::string name_;
  const SigningKey& key_;
  int fd_ = -1;
  std::vector<Digest> leaves_;
  std::vector<std::uint64_t> offsets_;  // of each entry's bytes
  TreeFrontier frontier_;
  std::uint64_t end_ = 0;  // of the last whole entry
};

struct LogReport {
  bool ok = false;
  std::uint64_t size = 0;
  std::string first_difference;  // empty where ok; in the current language
};

// Checks a log without its secret key: every entry against its hash, the root against the
// checkpoint, the checkpoint against `key`. `earlier`: a checkpoint that was kept elsewhere, which
// the log must go on from; empty: none. Never repairs anything.
LogReport VerifyLog(const std::filesystem::path& folder, const NoteKey& key,
                    std::string_view earlier);

// The entries of a log that VerifyLog finds right, read without its secret key.
Result<std::vector<std::string>> ReadLog(const std::filesystem::path& folder, const NoteKey& key);

}  // namespace tatara::ledger
