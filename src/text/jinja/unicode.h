// Characters as Python's str sees them. Texts are valid UTF-8 throughout.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tatara::text::jinja {

bool IsValidUtf8(std::string_view text);
std::u32string ToCodePoints(std::string_view text);
std::string FromCodePoints(std::u32string_view text);
void AppendUtf8(std::string& out, char32_t c);
std::size_t CountCodePoints(std::string_view text);

// What str.isspace, str.strip and \s of a regular expression take for white space.
bool IsSpace(char32_t c);
// What repr writes as it is.
bool IsPrintable(char32_t c);
bool IsIdentifierStart(char32_t c);
bool IsIdentifierPart(char32_t c);

std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Fold(std::string_view text);
std::string TitleCase(std::string_view text);   // str.title
std::string Capitalize(std::string_view text);  // str.capitalize
std::string SwapCase(std::string_view text);

enum class CharacterClass { kAlpha, kDigit, kDecimal, kNumeric, kAlnum, kSpace, kPrintable };
// str.isalpha and its like on one character.
bool IsOfClass(char32_t c, CharacterClass which);
// The value of a decimal digit of any script, -1 where it is none.
int DecimalDigit(char32_t c);
bool IsUpperCase(char32_t c);
bool IsLowerCase(char32_t c);
bool IsTitleCase(char32_t c);

}  // namespace tatara::text::jinja
