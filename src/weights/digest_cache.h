// SHA-256 of files anywhere, remembered by path as long as size, times, device and inode stay.
// Thread safety: from any thread and process; entries are whole or absent.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"

namespace tatara::weights {

// `folder` holds the entries and is made when needed; where it can not be written, nothing is
// remembered.
Result<std::string> RememberedSha256(const std::filesystem::path& folder,
                                     const std::filesystem::path& file, const Clock& clock,
                                     const std::function<bool(std::uint64_t)>& progress);

}  // namespace tatara::weights
