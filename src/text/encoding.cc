#include "tatara/text/encoding.h"

#include <unicode/ucnv.h>
#include <unicode/ustring.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace tatara::text {
namespace {

struct CloseConverter {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};

// ICU's names: CP932 with 0x5C as the backslash that Windows reads there, and EUC-JP with JIS X
// 0212.
constexpr const char* kCp932 = "ibm-943_P15A-2003";
constexpr const char* kEucJp = "euc-jp-2007";

struct Reading {
  bool valid = false;
  std::size_t fails_at = 0;
  std::vector<UChar> text;
};

// ICU maps single bytes that neither standard defines to control or private-use characters.
bool IsUndefined(UChar unit) {
  return (unit >= 0x80 && unit <= 0x9F) || unit == 0xA0 || unit == 0xFFFD ||
         (unit >= 0xF8F0 && unit <= 0xF8F3);
}

Reading ReadAs(const char* encoding, ByteSpan bytes) {
  Reading reading;
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, CloseConverter> converter(ucnv_open(encoding, &status));
  if (U_FAILURE(status)) return reading;
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &status);

  // Both encodings give at most two UTF-16 units for each sequence of two bytes or more, and one
  // otherwise.
  reading.text.resize(bytes.size() + 2);
  std::vector<std::int32_t> offsets(reading.text.size());
  const char* source = reinterpret_cast<const char*>(bytes.data());
  const char* const begin = source;
  UChar* target = reading.text.data();
  ucnv_toUnicode(converter.get(), &target, reading.text.data() + reading.text.size(), &source,
                 begin + bytes.size(), offsets.data(), true, &status);
  reading.text.resize(static_cast<std::size_t>(target - reading.text.data()));
  if (U_FAILURE(status)) {
    char invalid[16];
    std::int8_t length = sizeof invalid;
    UErrorCode ignored = U_ZERO_ERROR;
    ucnv_getInvalidChars(converter.get(), invalid, &length, &ignored);
    const auto consumed = static_cast<std::size_t>(source - begin);
    const auto back = static_cast<std::size_t>(length > 0 ? length : 0);
    reading.fails_at = consumed > back ? consumed - back : 0;
    return reading;
  }
  for (std::size_t i = 0; i < reading.text.size(); ++i) {
    if (!IsUndefined(reading.text[i])) continue;
    reading.fails_at = static_cast<std::size_t>(offsets[i]);
    return reading;
  }
  reading.valid = true;
  return reading;
}

struct Likeness {
  std::size_t kana = 0;        // hiragana, full-width katakana, 、 and 。
  std::size_t half_width = 0;  // half-width katakana
};

Likeness LikenessOf(const std::vector<UChar>& text) {
  Likeness likeness;
  for (const UChar unit : text) {
    const bool kana = (unit >= 0x3041 && unit <= 0x3096) || (unit >= 0x30A1 && unit <= 0x30FC);
    likeness.kana += kana || unit == 0x3001 || unit == 0x3002;
    likeness.half_width += unit >= 0xFF61 && unit <= 0xFF9F;
  }
  return likeness;
}

// Rule 5 of the header.
bool EucJpIsLikelier(const Reading& cp932, const Reading& euc_jp) {
  const Likeness a = LikenessOf(cp932.text);
  const Likeness b = LikenessOf(euc_jp.text);
  if (a.kana != b.kana) return b.kana > a.kana;
  return b.half_width < a.half_width;
}

std::string ToUtf8(const std::vector<UChar>& text) {
  std::string utf8(text.size() * 3, '\0');
  std::int32_t length = 0;
  UErrorCode status = U_ZERO_ERROR;
  u_strToUTF8(utf8.data(), static_cast<std::int32_t>(utf8.size()), &length, text.data(),
              static_cast<std::int32_t>(text.size()), &status);
  utf8.resize(static_cast<std::size_t>(length));
  return utf8;
}

// Rule 1 of the header.
Result<> RefuseOtherEncodings(std::string_view name, std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF") ||
      bytes.starts_with(std::string_view("\x00\x00\xFE\xFF", 4))) {
    return Refuse("{0}: UTF-16 or UTF-32 text; save it as UTF-8, Shift_JIS or EUC-JP", name);
  }
  if (const std::size_t nul = bytes.find('\0'); nul != std::string_view::npos) {
    return Refuse("{0}: not a text file: a NUL byte at offset {1}", name, nul);
  }
  for (const std::string_view escape : {"\x1B$B", "\x1B$@", "\x1B(J", "\x1B(I"}) {
    if (const std::size_t at = bytes.find(escape); at != std::string_view::npos) {
      return Refuse("{0}: ISO-2022-JP text (escape at offset {1}); save it as UTF-8", name, at);
    }
  }
  return Ok{};
}

}  // namespace

std::string_view EncodingName(Encoding encoding) {
  switch (encoding) {
    case Encoding::kUtf8:
      return "UTF-8";
    case Encoding::kUtf8Bom:
      return "UTF-8 with BOM";
    case Encoding::kShiftJis:
      return "Shift_JIS";
    case Encoding::kEucJp:
      return "EUC-JP";
  }
  return "";
}

std::optional<std::size_t> FirstInvalidUtf8(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t i = 0;
  while (i < bytes.size()) {
    const unsigned char lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    // RFC 3629, section 4: the second byte's range excludes overlong forms, surrogates and >
    // U+10FFFF.
    std::size_t length = 0;
    unsigned char low = 0x80, high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      length = 3;
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      length = 4;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    } else {
      return i;
    }
    if (i + length > bytes.size() || at(i + 1) < low || at(i + 1) > high) return i;
    for (std::size_t k = 2; k < length; ++k) {
      if (at(i + k) < 0x80 || at(i + k) > 0xBF) return i;
    }
    i += length;
  }
  return std::nullopt;
}

Result<DecodedText> DecodeText(std::string_view name, ByteSpan bytes) {
  std::string_view raw = AsText(bytes);
  TATARA_RETURN_IF_ERROR(RefuseOtherEncodings(name, raw));
  constexpr std::string_view kBom = "\xEF\xBB\xBF";
  if (raw.starts_with(kBom)) {
    raw.remove_prefix(kBom.size());
    if (const auto invalid = FirstInvalidUtf8(raw)) {
      return Refuse("{0}: starts as UTF-8, but the byte at offset {1} is not UTF-8", name,
                    *invalid + kBom.size());
    }
    return DecodedText{std::string(raw), Encoding::kUtf8Bom};
  }
  const auto not_utf8 = FirstInvalidUtf8(raw);
  if (!not_utf8) return DecodedText{std::string(raw), Encoding::kUtf8};

  const Reading cp932 = ReadAs(kCp932, bytes);
  const Reading euc_jp = ReadAs(kEucJp, bytes);
  if (!cp932.valid && !euc_jp.valid) {
    return Refuse(
        "{0}: no text encoding that is read here: not UTF-8 at offset {1}, not Shift_JIS at offset "
        "{2}, not "
        "EUC-JP at offset {3}",
        name, *not_utf8, cp932.fails_at, euc_jp.fails_at);
  }
  const bool is_euc_jp = euc_jp.valid && (!cp932.valid || EucJpIsLikelier(cp932, euc_jp));
  if (is_euc_jp) return DecodedText{ToUtf8(euc_jp.text), Encoding::kEucJp};
  return DecodedText{ToUtf8(cp932.text), Encoding::kShiftJis};
}

}  // namespace tatara::text
