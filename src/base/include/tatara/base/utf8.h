// UTF-8 read sequence by sequence, invalid bytes by the maximal-subpart rule (Unicode 15,
// section 3.9, table 3-7 and "U+FFFD Substitution of Maximal Subparts"; also what the W3C encoding
// standard does). Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tatara {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Sequence {
  std::uint32_t length = 0;  // bytes of the character, or of the maximal subpart that is invalid
  char32_t code_point = 0;   // meaningful where valid
  bool valid = false;
  bool truncated = false;  // invalid only because the text ends; more bytes could complete it
};

// Of a valid sequence, told by its first byte.
inline std::uint32_t Utf8Length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// What ReadUtf8 does outside ASCII and for the rarer lengths.
Utf8Sequence ReadUtf8Slowly(std::string_view text);

// The sequence at `text[0]`; `text` is not empty.
inline Utf8Sequence ReadUtf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return {1, byte(0), true, false};
  // Most of CJK: E1..EC and EE, EF take any two continuation bytes.
  if (text.size() >= 3 && byte(0) > 0xE0 && byte(0) < 0xF0 && byte(0) != 0xED &&
      (byte(1) & 0xC0) == 0x80 && (byte(2) & 0xC0) == 0x80) {
    return {3,
            static_cast<char32_t>((byte(0) & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)),
            true, false};
  }
  return ReadUtf8Slowly(text);
}

// Bytes at the start of `text` that are ASCII.
std::size_t AsciiPrefix(std::string_view text);

bool IsValidUtf8(std::string_view text);
void AppendUtf8(std::string& to, char32_t code_point);  // a Unicode scalar value

// Every maximal invalid subpart becomes U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

// For showing a file's own words in an error: control characters and invalid bytes become '?', and
// what exceeds 80 bytes is cut.
std::string Printable(std::string_view text);

}  // namespace tatara
