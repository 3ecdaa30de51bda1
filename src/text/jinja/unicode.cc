#include "jinja/unicode.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/ustring.h>
#include <unicode/utf8.h>

namespace tatara::text::jinja {
namespace {

icu::UnicodeString ToIcu(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int>(text.size())));
}

std::string FromIcu(const icu::UnicodeString& text) {
  std::string out;
  text.toUTF8String(out);
  return out;
}

// The character that ends at `end`, and where it starts.
char32_t LastCharacter(std::string_view text, std::size_t end, std::size_t* start) {
  std::size_t i = end - 1;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
  *start = i;
  UChar32 c;
  std::size_t j = i;
  U8_NEXT(text.data(), j, text.size(), c);
  return static_cast<char32_t>(c);
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    UChar32 c;
    U8_NEXT(text.data(), i, text.size(), c);
    if (c < 0) return false;
  }
  return true;
}

std::u32string ToCodePoints(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) {
    UChar32 c;
    U8_NEXT_OR_FFFD(text.data(), i, text.size(), c);
    out.push_back(static_cast<char32_t>(c));
  }
  return out;
}

void AppendUtf8(std::string& out, char32_t c) {
  char buffer[4];
  int n = 0;
  U8_APPEND_UNSAFE(buffer, n, static_cast<UChar32>(c));
  out.append(buffer, static_cast<std::size_t>(n));
}

std::string FromCodePoints(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) AppendUtf8(out, c);
  return out;
}

std::size_t CountCodePoints(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool IsPrintable(char32_t c) {
  if (c == ' ') return true;
  switch (u_charType(static_cast<UChar32>(c))) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SPACE_SEPARATOR:
      return false;
    default:
      return true;
  }
}

bool IsIdentifierStart(char32_t c) {
  return c == '_' || u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_XID_START);
}

bool IsIdentifierPart(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_XID_CONTINUE);
}

std::string_view StripLeft(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    std::size_t next = i;
    UChar32 c;
    U8_NEXT(text.data(), next, text.size(), c);
    if (!IsSpace(static_cast<char32_t>(c))) break;
    i = next;
  }
  return text.substr(i);
}

std::string_view StripRight(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start;
    if (!IsSpace(LastCharacter(text, end, &start))) break;
    end = start;
  }
  return text.substr(0, end);
}

std::string Upper(std::string_view text) {
  return FromIcu(ToIcu(text).toUpper(icu::Locale::getRoot()));
}

std::string Lower(std::string_view text) {
  return FromIcu(ToIcu(text).toLower(icu::Locale::getRoot()));
}

std::string Fold(std::string_view text) {
  return FromIcu(ToIcu(text).foldCase());
}

namespace {

// One character in title case, by the full mapping (ß gives Ss).
std::string TitleOf(char32_t c) {
  icu::UnicodeString one(static_cast<UChar32>(c));
  UErrorCode status = U_ZERO_ERROR;
  UChar out[8];
  const int n = u_strToTitle(out, 8, one.getBuffer(), one.length(), nullptr, "", &status);
  std::string text;
  if (U_FAILURE(status)) {
    AppendUtf8(text, c);
    return text;
  }
  return FromIcu(icu::UnicodeString(out, n));
}

}  // namespace

std::string TitleCase(std::string_view text) {
  std::string out;
  std::u32string rest;  // the cased run after its first letter, lowered together for final sigma
  const auto flush = [&] {
    out += Lower(FromCodePoints(rest));
    rest.clear();
  };
  bool previous_cased = false;
  for (const char32_t c : ToCodePoints(text)) {
    const bool cased = u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASED);
    if (previous_cased) {
      rest.push_back(c);
      if (!cased) flush();
    } else {
      out += TitleOf(c);
    }
    previous_cased = cased;
  }
  flush();
  return out;
}

std::string Capitalize(std::string_view text) {
  const std::u32string all = ToCodePoints(text);
  if (all.empty()) return {};
  return TitleOf(all[0]) + Lower(FromCodePoints(std::u32string_view(all).substr(1)));
}

std::string SwapCase(std::string_view text) {
  std::string out;
  for (const char32_t c : ToCodePoints(text)) {
    std::string one;
    AppendUtf8(one, c);
    out += IsUpperCase(c) ? Lower(one) : IsLowerCase(c) ? Upper(one) : one;
  }
  return out;
}

bool IsOfClass(char32_t c, CharacterClass which) {
  const auto u = static_cast<UChar32>(c);
  const int numeric = u_getIntPropertyValue(u, UCHAR_NUMERIC_TYPE);
  switch (which) {
    case CharacterClass::kAlpha:
      return u_isalpha(u);
    case CharacterClass::kDigit:
      return numeric == U_NT_DECIMAL || numeric == U_NT_DIGIT;
    case CharacterClass::kDecimal:
      return numeric == U_NT_DECIMAL;
    case CharacterClass::kNumeric:
      return numeric != U_NT_NONE;
    case CharacterClass::kAlnum:
      return u_isalpha(u) || numeric != U_NT_NONE;
    case CharacterClass::kSpace:
      return IsSpace(c);
    case CharacterClass::kPrintable:
      return IsPrintable(c);
  }
  return false;
}

int DecimalDigit(char32_t c) {
  return IsOfClass(c, CharacterClass::kDecimal) ? u_charDigitValue(static_cast<UChar32>(c)) : -1;
}
bool IsUpperCase(char32_t c) {
  return u_isUUppercase(static_cast<UChar32>(c));
}
bool IsLowerCase(char32_t c) {
  return u_isULowercase(static_cast<UChar32>(c));
}
bool IsTitleCase(char32_t c) {
  return u_istitle(static_cast<UChar32>(c));
}

}  // namespace tatara::text::jinja
