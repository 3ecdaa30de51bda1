#include <fcntl.h>
#include <unistd.h>

#include "log_file.h"
#include "tatara/base/descriptor.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/ledger/log.h"

namespace tatara::ledger {
namespace {

namespace fs = std::filesystem;

// Leaf hashes of the first `size` entries, each held against its bytes, which `entries` gets where
// it is not null.
Result<std::vector<Digest>> CheckedLeaves(const fs::path& path, std::uint64_t size,
                                          std::vector<std::string>* entries) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return ErrnoError("{0}: cannot read: {1}", path.string());
  TATARA_TRY(const std::uint64_t file_bytes, FileBytes(file.get(), path));
  std::vector<Digest> leaves;
  std::uint64_t at = 0;
  while (leaves.size() < size) {
    EntryHeader header;
    TATARA_TRY(const EntryState state, ReadEntryHeader(file.get(), at, file_bytes, path, header));
    if (state == EntryState::kEnd) {
      return Refuse("{0}: {1} entries, but the checkpoint signs {2}", path.string(), leaves.size(),
                    size);
    }
    bool is_right = state == EntryState::kWhole;
    if (is_right) {
      TATARA_TRY(std::string bytes,
                 ReadEntryBytes(file.get(), at + kEntryHeaderBytes, header.size, path));
      is_right = LeafHash(AsBytes(bytes)) == header.leaf;
      if (is_right && entries != nullptr) entries->push_back(std::move(bytes));
    }
    if (!is_right) {
      return Refuse("{0}: entry {1} is not as it was written", path.string(), leaves.size());
    }
    leaves.push_back(header.leaf);
    at += kEntryHeaderBytes + header.size;
  }
  return leaves;
}

Result<std::uint64_t> Verify(const fs::path& folder, const NoteKey& key, std::string_view earlier,
                             std::vector<std::string>* read) {
  const fs::path path = folder / "checkpoint", entries = folder / "entries";
  TATARA_TRY(const std::string note, ReadWholeFile(path, kNoteBytesMax));
  TATARA_TRY(const std::string text, OpenNote(note, key, path.string()));
  TATARA_TRY(const Checkpoint now, ParseCheckpoint(text, path.string()));
  TATARA_TRY(const std::vector<Digest> leaves, CheckedLeaves(entries, now.size, read));
  if (TreeHash(leaves) != now.root) {
    return Refuse("{0}: the entries do not have the root that the checkpoint signs",
                  entries.string());
  }
  if (earlier.empty()) return now.size;
  TATARA_TRY(const std::string old_text, OpenNote(earlier, key, Tr("the earlier checkpoint")));
  TATARA_TRY(const Checkpoint old, ParseCheckpoint(old_text, Tr("the earlier checkpoint")));
  if (old.size > now.size || TreeHash(std::span(leaves).first(old.size)) != old.root) {
    return Refuse("{0}: the log does not go on from the earlier checkpoint of {1} entries",
                  entries.string(), old.size);
  }
  return now.size;
}

}  // namespace

LogReport VerifyLog(const fs::path& folder, const NoteKey& key, std::string_view earlier) {
  const auto size = Verify(folder, key, earlier, nullptr);
  if (!size.ok()) return {.first_difference = size.error().text(CurrentLanguage())};
  return {.ok = true, .size = *size};
}

Result<std::vector<std::string>> ReadLog(const fs::path& folder, const NoteKey& key) {
  std::vector<std::string> entries;
  TATARA_TRY([[maybe_unused]] const std::uint64_t size, Verify(folder, key, "", &entries));
  return entries;
}

}  // namespace tatara::ledger
