#include <array>

#include "huggingface/components.h"
#include "tatara/base/localise.h"

namespace tatara::text::huggingface {
namespace {

Result<std::string> FromBase64(const JsonPlace& place, std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    const int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (c == '=') break;
    if (digit < 0) return place.Expected(MarkText("base64"));
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      out.push_back(static_cast<char>(bits >> n_bits & 0xFF));
    }
  }
  return out;
}

Result<> ReadReplace(const JsonPlace& place, Normalizer& normalizer) {
  TATARA_TRY(const std::string to, place.String("content"));
  TATARA_TRY(const JsonPlace pattern, place.Member("pattern"));
  TATARA_TRY(const JsonPlace regex, pattern.Member("Regex"));
  if (regex.IsNull()) {
    TATARA_TRY(const std::string from, pattern.String("String"));
    normalizer.Add(Normalizer::ReplaceText{.from = from, .to = to});
    return Ok{};
  }
  TATARA_TRY(const std::string expression, pattern.String("Regex"));
  TATARA_TRY(SplitRegex compiled, SplitRegex::Compile(expression, regex.Named()));
  Normalizer::ReplaceMatches step{.regex = {}, .to = to};
  step.regex.push_back(std::move(compiled));
  normalizer.Add(std::move(step));
  return Ok{};
}

Result<> ReadBert(const JsonPlace& place, Normalizer& normalizer) {
  Normalizer::Bert bert;
  TATARA_TRY(bert.clean, place.BoolOr("clean_text", true));
  TATARA_TRY(bert.spaces_chinese, place.BoolOr("handle_chinese_chars", true));
  TATARA_TRY(bert.lowercase, place.BoolOr("lowercase", true));
  TATARA_TRY(bert.strip_accents, place.BoolOr("strip_accents", bert.lowercase));
  normalizer.Add(bert);
  return Ok{};
}

Result<> ReadPrecompiled(const JsonPlace& place, Normalizer& normalizer) {
  TATARA_TRY(const JsonPlace map, place.Member("precompiled_charsmap"));
  if (map.IsNull()) return Ok{};
  TATARA_TRY(const std::string text, place.String("precompiled_charsmap"));
  TATARA_TRY(const std::string bytes, FromBase64(map, text));
  TATARA_TRY(CharacterMap read, CharacterMap::FromBytes(bytes, map.Named(), "base64"));
  normalizer.Add(Normalizer::Map{.map = std::move(read), .by_grapheme = true});
  return Ok{};
}

}  // namespace

Result<> ReadNormalizer(const JsonPlace& place, Normalizer& normalizer, int depth) {
  if (place.IsNull()) return Ok{};
  if (depth > kNestingMax || normalizer.size() >= Normalizer::kStepsMax) {
    return place.Expected(MarkText("fewer components"));
  }
  TATARA_TRY(const std::string type, place.String("type"));
  if (type == "Sequence") {
    TATARA_TRY(const auto list, place.List("normalizers", Normalizer::kStepsMax));
    for (const JsonPlace& element : list) {
      TATARA_RETURN_IF_ERROR(ReadNormalizer(element, normalizer, depth + 1));
    }
    return Ok{};
  }
  if (type == "NFC") return normalizer.Add(Normalizer::Form{UnicodeForm::kNfc}), Ok{};
  if (type == "NFD") return normalizer.Add(Normalizer::Form{UnicodeForm::kNfd}), Ok{};
  if (type == "NFKC") return normalizer.Add(Normalizer::Form{UnicodeForm::kNfkc}), Ok{};
  if (type == "NFKD") return normalizer.Add(Normalizer::Form{UnicodeForm::kNfkd}), Ok{};
  if (type == "Lowercase") return normalizer.Add(Normalizer::Lowercase{}), Ok{};
  if (type == "StripAccents") return normalizer.Add(Normalizer::StripAccents{}), Ok{};
  if (type == "Nmt") return normalizer.Add(Normalizer::Nmt{}), Ok{};
  if (type == "ByteLevel") return normalizer.Add(Normalizer::ByteAlphabet{}), Ok{};
  if (type == "Strip") {
    Normalizer::Strip strip;
    TATARA_TRY(strip.left, place.BoolOr("strip_left", true));
    TATARA_TRY(strip.right, place.BoolOr("strip_right", true));
    normalizer.Add(strip);
    return Ok{};
  }
  if (type == "Prepend") {
    TATARA_TRY(const std::string text, place.String("prepend"));
    normalizer.Add(Normalizer::Prepend{text});
    return Ok{};
  }
  if (type == "Replace") return ReadReplace(place, normalizer);
  if (type == "BertNormalizer") return ReadBert(place, normalizer);
  if (type == "Precompiled") return ReadPrecompiled(place, normalizer);
  return place.Unknown(MarkText("normalizer"), type);
}

}  // namespace tatara::text::huggingface
