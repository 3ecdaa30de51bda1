// General categories of the Unicode Character Database 16.0, pinned here so that a text is split
// alike on every machine, whatever the version of its libraries. Unicode 16 is also what Hugging
// Face's tokenizers 0.23 splits by. Thread safety: reading from any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace tatara::text {

enum class GeneralCategory : std::uint8_t {
  kCn,
  kCc,
  kCf,
  kCo,
  kCs,  // other
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,  // letters
  kMn,
  kMc,
  kMe,  // marks
  kNd,
  kNl,
  kNo,  // numbers
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,  // punctuation
  kSm,
  kSc,
  kSk,
  kSo,  // symbols
  kZs,
  kZl,
  kZp,  // separators
};
inline constexpr int kGeneralCategories = 30;

// One byte per code point up to 10FFFF, in the order of code points. Filled at first use.
const std::uint8_t* GeneralCategoryTable();

inline GeneralCategory CategoryOf(char32_t code_point) {
  return static_cast<GeneralCategory>(GeneralCategoryTable()[code_point]);
}

// "Lu", "Nd", ...
std::string_view NameOf(GeneralCategory category);

// The White_Space property (PropList.txt): what \s means in the published expressions.
constexpr bool IsWhiteSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace tatara::text
