// One page of the cache as a file: 128 bytes of header, then the page's bytes.
//
//   0  "TATARAKV"
//   8  u32 version (1), u32 0
//   16 identity of what computed it (SpillIdentity)
//   48 the page's key: digest of scope, adapter and all tokens up to its end
//   80 u64 bytes of the page, u64 0
//   96 SHA-256 of the page's bytes
//
// Written aside and renamed, mode 0600. Nothing is synced: a file that a crash left in pieces does
// not pass the check. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "page_cache.h"
#include "tatara/base/bytes.h"
#include "tatara/base/sha256.h"

namespace tatara::generate {

inline constexpr std::size_t kSpillHeaderBytes = 128;

struct SpillFileId {
  Digest identity;
  PageKey key;
};

// False where the system refuses (the disk is full, the folder is gone); nothing is left then.
bool WriteSpillFile(const std::filesystem::path& path, const SpillFileId& id, ByteSpan page);

enum class SpillRead { kWhole, kMissing, kBroken };
// kBroken: not a file of this identity, key and size, or changed since it was written.
SpillRead ReadSpillFile(const std::filesystem::path& path, const SpillFileId& id,
                        std::span<std::byte> page);

}  // namespace tatara::generate
