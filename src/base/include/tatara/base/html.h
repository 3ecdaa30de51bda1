// Thread safety: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace tatara {

// As the content of an element or of an attribute in double quotes: & < > " become references,
// control characters but line ends and tabs become '?', invalid UTF-8 becomes U+FFFD.
std::string EscapeHtml(std::string_view text);

}  // namespace tatara
