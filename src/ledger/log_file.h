// How entries lie in a log's file; see log.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/base/sha256.h"

namespace tatara::ledger {

inline constexpr std::size_t kEntryHeaderBytes = 4 + 4 + 32;

struct EntryHeader {
  std::uint32_t size = 0;
  Digest leaf{};
};

enum class EntryState { kWhole, kEnd, kTorn, kForeign };

// The header at `offset` of a file of `file_bytes`: kEnd where nothing follows, kTorn where less
// than an entry does, kForeign where it is none.
Result<EntryState> ReadEntryHeader(int fd, std::uint64_t offset, std::uint64_t file_bytes,
                                   const std::filesystem::path& path, EntryHeader& header);
Result<std::string> ReadEntryBytes(int fd, std::uint64_t offset, std::uint32_t size,
                                   const std::filesystem::path& path);
std::string EntryBytes(std::string_view entry, const Digest& leaf);
Result<std::uint64_t> FileBytes(int fd, const std::filesystem::path& path);

}  // namespace tatara::ledger
