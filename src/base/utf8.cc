#include "tatara/base/utf8.h"

#include <cstring>

namespace tatara {
namespace {

// Unicode table 3-7: for each lead byte the range of the second byte and the number of bytes.
// Ranges of the second byte narrower than 80..BF exclude overlong forms, surrogates and values
// above 10FFFF.
struct Lead {
  std::uint32_t length;
  unsigned char second_min, second_max;
};

Lead LeadOf(unsigned char byte) {
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

std::size_t AsciiPrefix(std::string_view text) {
  std::size_t i = 0;  // eight bytes at a time
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, text.data() + i, 8);
    if ((eight & 0x8080808080808080u) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

Utf8Sequence ReadUtf8Slowly(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, first, true, false};
  const Lead lead = LeadOf(first);
  if (lead.length == 0) return {1, 0, false, false};
  char32_t code_point = first & (0xFFu >> (lead.length + 1));
  for (std::uint32_t i = 1; i < lead.length; ++i) {
    if (i >= text.size()) return {i, 0, false, true};
    const unsigned char low = i == 1 ? lead.second_min : 0x80;
    const unsigned char high = i == 1 ? lead.second_max : 0xBF;
    if (byte(i) < low || byte(i) > high) return {i, 0, false, false};
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  return {lead.length, code_point, true, false};
}

bool IsValidUtf8(std::string_view text) {
  for (;;) {
    text.remove_prefix(AsciiPrefix(text));
    while (!text.empty() && static_cast<unsigned char>(text[0]) >= 0x80) {
      const Utf8Sequence sequence = ReadUtf8(text);
      if (!sequence.valid) return false;
      text.remove_prefix(sequence.length);
    }
    if (text.empty()) return true;
  }
}

void AppendUtf8(std::string& to, char32_t c) {
  const auto push = [&](char32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    push(c);
  } else if (c < 0x800) {
    push(0xC0 | c >> 6), push(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    push(0xE0 | c >> 12), push(0x80 | (c >> 6 & 0x3F)), push(0x80 | (c & 0x3F));
  } else {
    push(0xF0 | c >> 18), push(0x80 | (c >> 12 & 0x3F));
    push(0x80 | (c >> 6 & 0x3F)), push(0x80 | (c & 0x3F));
  }
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Sequence sequence = ReadUtf8(text);
    out.append(sequence.valid ? text.substr(0, sequence.length) : kReplacement);
    text.remove_prefix(sequence.length);
  }
  return out;
}

std::string Printable(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 80;
  std::string out;
  while (!text.empty() && out.size() < kShownBytesMax) {
    const Utf8Sequence sequence = ReadUtf8(text);
    const bool control = sequence.code_point < 0x20 || sequence.code_point == 0x7F;
    const std::uint32_t n = sequence.valid ? sequence.length : 1;
    if (sequence.valid && !control) {
      out += text.substr(0, n);
    } else {
      out += '?';
    }
    text.remove_prefix(n);
  }
  return text.empty() ? out : out + "...";
}

}  // namespace tatara
