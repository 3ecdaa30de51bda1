// UTF-8 read sequence by sequence, invalid bytes by the maximal-subpart rule (Unicode 15,
// section 3.9, table 3-7 and "U+FFFD Substitution of Maximal Subparts"; also what the W3C encoding
// standard does). Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tatara::text {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Sequence {
  std::uint32_t length = 0;  // bytes of the character, or of the maximal subpart that is invalid
  char32_t code_point = 0;   // meaningful where valid
  bool valid = false;
  bool truncated = false;  // invalid only because the text ends; more bytes could complete it
};

// The sequence at `text[0]`; `text` is not empty.
Utf8Sequence ReadUtf8(std::string_view text);

bool IsValidUtf8(std::string_view text);
void AppendUtf8(std::string& to, char32_t code_point);  // a Unicode scalar value

// Every maximal invalid subpart becomes U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace tatara::text
