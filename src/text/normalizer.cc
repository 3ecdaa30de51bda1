#include "normalizer.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "tatara/base/utf8.h"
#include "tatara/text/byte_alphabet.h"
#include "unicode_categories.h"

namespace tatara::text {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581

// Calls `change` for every character; it appends what the character becomes.
template <typename Change>
std::string ByCharacter(std::string_view text, const Change& change) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const Utf8Sequence sequence = ReadUtf8(text);
    change(sequence.code_point, text.substr(0, sequence.length), out);
    text.remove_prefix(sequence.length);
  }
  return out;
}

bool IsChinese(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  // The blocks that BERT's tokenizer names; the fifth as Hugging Face's has it.
  static constexpr Range kRanges[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                      {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const Range& r) { return c >= r.first && c <= r.last; });
}

// BERT's steps in Hugging Face's tokenizers know the categories of Unicode 8; what came later is
// unassigned to them and stays.
GeneralCategory CategoryForBert(char32_t c) {
  if (c < 0x80) return CategoryOf(c);
  if (c == 0x1734) return GeneralCategory::kMn;                                // later Mc
  if (c == 0x1885 || c == 0x1886 || c == 0xA9BD) return GeneralCategory::kLo;  // later Mn
  if (c == 0x111C9) return GeneralCategory::kPo;                               // later Mn
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  constexpr int kMajorVersion = 8;
  const bool known = age[0] > 0 && age[0] <= kMajorVersion;
  return known ? CategoryOf(c) : GeneralCategory::kCn;
}

bool IsControl(char32_t c) {
  const GeneralCategory category = CategoryForBert(c);
  return category == GeneralCategory::kCc || category == GeneralCategory::kCf ||
         category == GeneralCategory::kCo || category == GeneralCategory::kCs;
}

std::string Stripped(std::string_view text, const Normalizer::Strip& strip) {
  while (strip.left && !text.empty()) {
    const Utf8Sequence first = ReadUtf8(text);
    if (!IsWhiteSpace(first.code_point)) break;
    text.remove_prefix(first.length);
  }
  while (strip.right && !text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & '\xC0') == '\x80') --begin;
    if (!IsWhiteSpace(ReadUtf8(text.substr(begin)).code_point)) break;
    text.remove_suffix(text.size() - begin);
  }
  return std::string(text);
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::size_t bytes_max) {
  if (from.empty()) return std::string(text);
  std::string out;
  for (std::size_t at; (at = text.find(from)) != text.npos && out.size() < bytes_max;
       text.remove_prefix(at + from.size())) {
    out += text.substr(0, at);
    out += to;
  }
  out += text;
  return out;
}

std::string Replaced(std::string_view text, const SplitRegex& regex, std::string_view to,
                     std::size_t bytes_max) {
  std::string out;
  SplitRegex::Search search(regex, text);
  std::size_t done = 0;
  for (SplitRegex::Match match; out.size() < bytes_max && search.Next(match);) {
    out += text.substr(done, match.begin - done);
    out += to;
    done = match.end;
  }
  out += text.substr(done);
  return out;
}

std::string WithoutMarks(std::string_view text) {
  return ByCharacter(text, [](char32_t c, std::string_view bytes, std::string& out) {
    if (!NameOf(CategoryOf(c)).starts_with('M')) out += bytes;
  });
}

// tokenizers 0.23, normalizers/bert.rs.
std::string Berted(std::string text, const Normalizer::Bert& bert) {
  if (bert.clean) {
    text = ByCharacter(text, [](char32_t c, std::string_view bytes, std::string& out) {
      const bool space = c == '\t' || c == '\n' || c == '\r';
      if (c == 0 || c == 0xFFFD || (!space && IsControl(c))) return;
      if (space || IsWhiteSpace(c)) {
        out += ' ';
      } else {
        out += bytes;
      }
    });
  }
  if (bert.spaces_chinese) {
    text = ByCharacter(text, [](char32_t c, std::string_view bytes, std::string& out) {
      const bool chinese = IsChinese(c);
      if (chinese) out += ' ';
      out += bytes;
      if (chinese) out += ' ';
    });
  }
  if (bert.strip_accents) {
    text = ByCharacter(InForm(UnicodeForm::kNfd, text),
                       [](char32_t c, std::string_view bytes, std::string& out) {
                         if (CategoryForBert(c) != GeneralCategory::kMn) out += bytes;
                       });
  }
  if (bert.lowercase) text = Lowercased(text);
  return text;
}

// SentencePiece's data/nmt rules: some controls go, other white space and zero-width characters
// become spaces.
std::string Translated(std::string_view text) {
  return ByCharacter(text, [](char32_t c, std::string_view bytes, std::string& out) {
    const bool gone = (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
                      c == 0x8F || c == 0x9F;
    const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    if (gone) return;
    if (space) {
      out += ' ';
    } else {
      out += bytes;
    }
  });
}

std::string Spaced(std::string_view text, const Normalizer::Spaces& spaces, bool at_start) {
  std::string out;
  out.reserve(text.size() + text.size() / 4 + 4);
  if (spaces.trim) {
    const std::size_t first = text.find_first_not_of(' ');
    if (first == text.npos) return {};
    text = text.substr(first, text.find_last_not_of(' ') + 1 - first);
  }
  const bool prefixed = spaces.prefix && (at_start || !spaces.prefix_only_at_start);
  if (prefixed && !text.starts_with(' ')) out += kMark;
  char previous = '\0';
  for (const char c : text) {
    if (c != ' ') {
      out += c;
    } else if (!spaces.squeeze || previous != ' ') {
      out += kMark;
    }
    previous = c;
  }
  return out;
}

struct Applying {
  std::string& text;
  std::size_t bytes_max;
  bool at_start;

  void operator()(const Normalizer::Form& step) const {
    if (!IsInForm(step.form, text)) text = InForm(step.form, text);
  }
  void operator()(const Normalizer::Lowercase&) const { text = Lowercased(text); }
  void operator()(const Normalizer::StripAccents&) const { text = WithoutMarks(text); }
  void operator()(const Normalizer::Strip& step) const { text = Stripped(text, step); }
  void operator()(const Normalizer::Prepend& step) const {
    if (!text.empty()) text.insert(0, step.text);
  }
  void operator()(const Normalizer::ReplaceText& step) const {
    text = Replaced(text, step.from, step.to, bytes_max);
  }
  void operator()(const Normalizer::ReplaceMatches& step) const {
    text = Replaced(text, step.regex[0], step.to, bytes_max);
  }
  void operator()(const Normalizer::Bert& step) const { text = Berted(std::move(text), step); }
  void operator()(const Normalizer::Nmt&) const { text = Translated(text); }
  void operator()(const Normalizer::ByteAlphabet&) const {
    std::string mapped;
    for (const char c : text) AppendUtf8(mapped, CharacterOfByte(static_cast<unsigned char>(c)));
    text = std::move(mapped);
  }
  void operator()(const Normalizer::Map& step) const {
    text = step.by_grapheme ? step.map.ByGrapheme(text) : step.map.Longest(text);
  }
  void operator()(const Normalizer::CodePointMap& step) const {
    text = ByCharacter(text, [&](char32_t c, std::string_view bytes, std::string& out) {
      const auto found = step.to.find(c);
      out += found == step.to.end() ? bytes : std::string_view(found->second);
    });
  }
  void operator()(const Normalizer::Spaces& step) const { text = Spaced(text, step, at_start); }
};

}  // namespace

Result<> AddForm(std::string_view name, std::string_view origin, Normalizer& normalizer) {
  if (name.empty()) return Ok{};
  static constexpr std::pair<std::string_view, UnicodeForm> kForms[] = {
      {"nfc", UnicodeForm::kNfc},
      {"nfd", UnicodeForm::kNfd},
      {"nfkc", UnicodeForm::kNfkc},
      {"nfkd", UnicodeForm::kNfkd}};
  for (const auto& [known, form] : kForms) {
    if (known == name) return normalizer.Add(Normalizer::Form{form}), Ok{};
  }
  return Refuse("{0}: the normalisation form '{1}' is not known; nfc, nfd, nfkc and nfkd are",
                origin, Printable(name));
}

void Normalizer::Apply(std::string& text, bool at_start) const {
  const std::size_t bytes_max = text.size() * kGrowthMax + kGrowthBytesMin;
  for (const Step& step : steps_) std::visit(Applying{text, bytes_max, at_start}, step);
}

}  // namespace tatara::text
