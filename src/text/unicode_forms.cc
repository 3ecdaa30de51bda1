#include "unicode_forms.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>

#include <array>
#include <memory>

#include "tatara/base/check.h"
#include "tatara/base/utf8.h"

namespace tatara::text {
namespace {

// Longer texts are done in parts that end where nothing composes across: ICU's lengths are 32 bits.
constexpr std::size_t kPartBytesMax = std::size_t{1} << 24;

const icu::Normalizer2& Unfiltered(UnicodeForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = nullptr;
  switch (form) {
    case UnicodeForm::kNfc:
      found = icu::Normalizer2::getNFCInstance(status);
      break;
    case UnicodeForm::kNfd:
      found = icu::Normalizer2::getNFDInstance(status);
      break;
    case UnicodeForm::kNfkc:
      found = icu::Normalizer2::getNFKCInstance(status);
      break;
    case UnicodeForm::kNfkd:
      found = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  TATARA_CHECK(U_SUCCESS(status) && found != nullptr);
  return *found;
}

const icu::Normalizer2& Of(UnicodeForm form) {
  struct Filtered {
    icu::UnicodeSet assigned;
    std::array<std::unique_ptr<icu::FilteredNormalizer2>, 4> forms;
    Filtered() {
      UErrorCode status = U_ZERO_ERROR;
      assigned.applyPattern("[:age=11.0:]", status);
      TATARA_CHECK(U_SUCCESS(status));
      assigned.freeze();
      for (int i = 0; i < 4; ++i) {
        forms[static_cast<std::size_t>(i)] = std::make_unique<icu::FilteredNormalizer2>(
            Unfiltered(static_cast<UnicodeForm>(i)), assigned);
      }
    }
  };
  static const Filtered filtered;
  return *filtered.forms[static_cast<std::size_t>(form)];
}

icu::UnicodeString ToIcu(std::string_view text) {
  return icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
}

void AppendPart(UnicodeForm form, std::string_view part, std::string& out) {
  if (AsciiPrefix(part) == part.size()) {
    out += part;
    return;
  }
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString from = ToIcu(part);
  const icu::Normalizer2& normalizer = Of(form);
  if (normalizer.isNormalized(from, status) && U_SUCCESS(status)) {
    out += part;
    return;
  }
  status = U_ZERO_ERROR;
  icu::UnicodeString to;
  normalizer.normalize(from, to, status);
  if (U_SUCCESS(status)) {
    to.toUTF8String(out);
  } else {  // no memory for it
    out += part;
  }
}

}  // namespace

std::string InForm(UnicodeForm form, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (text.size() > kPartBytesMax) {
    std::size_t end = kPartBytesMax;
    // Line ends and spaces compose with nothing before them; a text without one is cut anywhere.
    while (end > kPartBytesMax / 2 && text[end] != '\n' && text[end] != ' ') --end;
    if (end == kPartBytesMax / 2) {
      end = kPartBytesMax;
      while ((text[end] & '\xC0') == '\x80') --end;
    }
    AppendPart(form, text.substr(0, end), out);
    text.remove_prefix(end);
  }
  AppendPart(form, text, out);
  return out;
}

bool IsInForm(UnicodeForm form, std::string_view text) {
  if (AsciiPrefix(text) == text.size()) return true;
  if (text.size() > kPartBytesMax) return false;
  UErrorCode status = U_ZERO_ERROR;
  const bool is = Of(form).isNormalized(ToIcu(text), status);
  return is && U_SUCCESS(status);
}

std::string Lowercased(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (static_cast<unsigned char>(text[0]) < 0x80) {
      const char c = text[0];
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
      text.remove_prefix(1);
      continue;
    }
    const Utf8Sequence sequence = ReadUtf8(text);
    constexpr char32_t kDottedI = 0x130;  // the only character that becomes two
    if (sequence.valid && sequence.code_point == kDottedI) {
      out += "i\u0307";
    } else if (sequence.valid) {
      AppendUtf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(sequence.code_point))));
    } else {
      out += text.substr(0, sequence.length);
    }
    text.remove_prefix(sequence.length);
  }
  return out;
}

}  // namespace tatara::text
