#include "character_map.h"
#include "tatara/base/utf8.h"

#include <unicode/uchar.h>

namespace tatara::text {
namespace {

// Fields of a unit (darts-clone, DoubleArrayUnit).
bool HasLeaf(std::uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
std::uint32_t Value(std::uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
std::uint32_t Label(std::uint32_t unit) {
  return unit & 0x800000FFu;
}
std::uint32_t Offset(std::uint32_t unit) {
  return (unit >> 10) << ((unit & 0x200u) >> 6);
}

constexpr std::size_t kGraphemeBytesMax = 5;
constexpr std::size_t kReplacementBytesMax = 1024;  // NFKC's longest has 33

int BreakClass(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK);
}

// Bytes of the extended grapheme cluster at the start of a valid text (UAX #29), or anything above
// kGraphemeBytesMax for a longer one. Hangul syllables of several characters and emoji sequences
// are longer in any case.
std::size_t ShortGrapheme(std::string_view text) {
  const Utf8Sequence first = ReadUtf8(text);
  std::size_t end = first.length;
  if (text.starts_with("\r\n")) return 2;
  int left = BreakClass(first.code_point);
  if (left == U_GCB_CR || left == U_GCB_LF || left == U_GCB_CONTROL) return end;
  while (end < text.size() && end <= kGraphemeBytesMax) {
    const Utf8Sequence next = ReadUtf8(text.substr(end));
    const int right = BreakClass(next.code_point);
    const bool extends = right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK;
    const bool control = right == U_GCB_CR || right == U_GCB_LF || right == U_GCB_CONTROL;
    if (!extends && (left != U_GCB_PREPEND || control)) break;
    end += next.length;
    left = right;
  }
  return end;
}

}  // namespace

Result<CharacterMap> CharacterMap::FromBytes(std::string_view bytes, std::string_view origin,
                                             std::string_view place) {
  const auto word = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (int i = 3; i >= 0; --i) {
      value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
    }
    return value;
  };
  if (bytes.size() > kBytesMax) {
    return Refuse("{0}: '{1}' is {2} bytes long, limit {3}", origin, place, bytes.size(),
                  kBytesMax);
  }
  CharacterMap made;
  if (bytes.empty()) return made;
  const std::size_t n_trie = bytes.size() >= 4 ? word(0) : 0;
  if (bytes.size() < 4 || n_trie % 4 != 0 || n_trie > bytes.size() - 4) {
    return Refuse("{0}: '{1}' is no character map: {2} bytes with {3} for its index", origin, place,
                  bytes.size(), n_trie);
  }
  made.units_.reserve(n_trie / 4);
  for (std::size_t at = 4; at < 4 + n_trie; at += 4) made.units_.push_back(word(at));
  made.replacements_ = bytes.substr(4 + n_trie);
  made.replacements_.push_back('\0');
  if (!IsValidUtf8(made.replacements_)) {
    return Refuse("{0}: '{1}' has replacements that are not valid UTF-8", origin, place);
  }
  return made;
}

std::size_t CharacterMap::Find(std::string_view text, bool longest,
                               std::string_view& replacement) const {
  if (units_.empty()) return 0;
  std::size_t found = 0;
  std::uint32_t node = Offset(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || Label(units_[node]) != byte) break;
    const bool leaf = HasLeaf(units_[node]);
    node ^= Offset(units_[node]);
    if (!leaf) continue;
    if (node >= units_.size()) break;
    const std::uint32_t at = Value(units_[node]);
    if (at >= replacements_.size()) break;
    // Inside a character a replacement could be no text.
    if ((replacements_[at] & '\xC0') == '\x80') break;
    const std::size_t length = replacements_.find('\0', at) - at;
    if (length > kReplacementBytesMax) break;
    found = i + 1;
    replacement = std::string_view(replacements_).substr(at, length);
    if (!longest) break;
  }
  // A part of a character is never replaced.
  return found < text.size() && (text[found] & '\xC0') == '\x80' ? 0 : found;
}

std::string CharacterMap::Longest(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::string_view replacement;
    const std::size_t length = Find(text, /*longest=*/true, replacement);
    if (length > 0) {
      out += replacement;
      text.remove_prefix(length);
      continue;
    }
    const Utf8Sequence sequence = ReadUtf8(text);
    out += sequence.valid ? text.substr(0, sequence.length) : kReplacement;
    text.remove_prefix(sequence.length);
  }
  return out;
}

void CharacterMap::AppendCharacters(std::string_view text, std::string& out) const {
  while (!text.empty()) {
    const std::string_view character = text.substr(0, ReadUtf8(text).length);
    std::string_view replacement;
    out += Find(character, /*longest=*/false, replacement) > 0 ? replacement : character;
    text.remove_prefix(character.size());
  }
}

std::string CharacterMap::ByGrapheme(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = ShortGrapheme(text);
    const std::string_view grapheme = text.substr(0, length);
    std::string_view replacement;
    if (length <= kGraphemeBytesMax && Find(grapheme, /*longest=*/false, replacement) > 0) {
      out += replacement;
    } else {
      AppendCharacters(grapheme, out);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace tatara::text
