// SentencePiece's precompiled character map: a double array of byte sequences (Aoe 1989, in the
// layout of darts-clone) and the texts that replace them. Bytes are untrusted: every index is
// checked, and walks end. Thread safety: immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::text {

class CharacterMap {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{1} << 26;

  static Result<CharacterMap> FromBytes(std::string_view bytes, std::string_view origin,
                                        std::string_view place);

  // SentencePiece's rule: at each place the longest sequence that the map has is replaced.
  std::string Longest(std::string_view text) const;
  // The rule of Hugging Face's tokenizers: a grapheme of less than 6 bytes by the shortest sequence
  // that it begins with, taken for the whole of it, else each character so.
  std::string ByGrapheme(std::string_view text) const;

 private:
  // Longest or shortest sequence at the start of `text`: its length (0: none) and replacement.
  std::size_t Find(std::string_view text, bool longest, std::string_view& replacement) const;
  void AppendCharacters(std::string_view text, std::string& out) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;  // each ends with a zero byte
};

}  // namespace tatara::text
