// A file of this machine into the store.
// Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <filesystem>

#include "fetch_context.h"
#include "partial_file.h"
#include "tatara/base/error.h"

namespace tatara::weights {

// `to` (absent so far) becomes the same content without a copy: shared blocks where the file system
// can (FICLONE), else a hard link. False where neither works, for example across file systems.
bool ShareBlocks(const std::filesystem::path& from, const std::filesystem::path& to);

// Appends the file's bytes from `offset` on, committing now and then.
Result<> AppendFile(const std::filesystem::path& from, std::uint64_t offset, PartialFile& to,
                    FetchContext& context);

// Everything written to the file is on disk.
Result<> SyncFile(const std::filesystem::path& path);

// Refused (kIo) where the file system of `folder` has less free than `n_bytes` and a reserve.
Result<> CheckFreeSpace(const std::filesystem::path& folder, std::uint64_t n_bytes);

}  // namespace tatara::weights
