// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <string>
#include <string_view>

namespace tatara::weights {

bool IsUtf8(std::string_view text);

// For showing a file's own words in an error: control characters and invalid bytes become '?', and
// what exceeds 80 bytes is cut.
std::string Printable(std::string_view text);

}  // namespace tatara::weights
