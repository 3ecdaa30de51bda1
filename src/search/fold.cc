#include "tatara/search/fold.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <optional>

namespace tatara::search {
namespace {

enum class Script { kOther, kHan, kHiragana, kKatakana, kLatin, kDigit };

struct Char {
  char32_t c = 0;
  Script script = Script::kOther;
};

constexpr char32_t kLongVowel = 0x30FC;
constexpr std::size_t kWordCharsMax = 64;  // a longer word is cut: it is no word

Script ScriptOf(char32_t c) {
  if (c < 0x80) {
    if (c >= '0' && c <= '9') return Script::kDigit;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? Script::kLatin : Script::kOther;
  }
  if (c >= 0x3041 && c <= 0x309F) return Script::kHiragana;
  if (c >= 0x30A1 && c <= 0x30FF && c != 0x30FB) return Script::kKatakana;
  if (c == 0x3005 || c == 0x3006) return Script::kHan;  // 々 〆
  const auto code = static_cast<UChar32>(c);
  if (u_hasBinaryProperty(code, UCHAR_IDEOGRAPHIC)) return Script::kHan;
  if (u_isdigit(code)) return Script::kDigit;
  return u_isalpha(code) || u_hasBinaryProperty(code, UCHAR_DIACRITIC) ? Script::kLatin
                                                                       : Script::kOther;
}

icu::UnicodeString CaseFolded(std::string_view utf8) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = icu::Normalizer2::getNFKCCasefoldInstance(status);
  const icu::UnicodeString text = icu::UnicodeString::fromUTF8(
      icu::StringPiece(utf8.data(), static_cast<int32_t>(utf8.size())));
  if (U_FAILURE(status)) return text;
  icu::UnicodeString folded = normalizer->normalize(text, status);
  return U_FAILURE(status) ? text : folded;
}

char32_t AsHiragana(char32_t c) {
  return c >= 0x30A1 && c <= 0x30F6 ? c - 0x60 : c;
}

void AppendUtf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
            static_cast<char>(0x80 | (c & 0x3F))};
  } else {
    out += {static_cast<char>(0xF0 | (c >> 18)), static_cast<char>(0x80 | ((c >> 12) & 0x3F)),
            static_cast<char>(0x80 | ((c >> 6) & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
  }
}

std::string Utf8Of(std::initializer_list<char32_t> chars) {
  std::string out;
  for (const char32_t c : chars) AppendUtf8(out, c);
  return out;
}

std::vector<Char> CharsOf(std::string_view utf8) {
  const icu::UnicodeString folded = CaseFolded(utf8);
  std::vector<Char> chars;
  chars.reserve(static_cast<std::size_t>(folded.length()));
  for (int32_t i = 0; i < folded.length(); i = folded.moveIndex32(i, 1)) {
    const auto c = static_cast<char32_t>(folded.char32At(i));
    chars.push_back({c, ScriptOf(c)});
  }
  return chars;
}

bool IsCjk(Script script) {
  return script == Script::kHan || script == Script::kHiragana || script == Script::kKatakana;
}

// Digit values of 〇一二…九, units of 十百千; nothing for others.
std::optional<int> KanjiDigit(char32_t c) {
  constexpr std::u32string_view kDigits = U"〇一二三四五六七八九";
  const std::size_t at = kDigits.find(c);
  if (at == std::u32string_view::npos) return std::nullopt;
  return static_cast<int>(at);
}
int KanjiUnit(char32_t c) {
  return c == U'十' ? 10 : c == U'百' ? 100 : c == U'千' ? 1000 : 0;
}

class TermReader {
 public:
  explicit TermReader(std::vector<Char> chars) : chars_(std::move(chars)) {}

  std::vector<Term> Read() {
    for (std::size_t i = 0; i < chars_.size();) {
      if (IsCjk(chars_[i].script)) {
        i = CjkRun(i);
      } else if (chars_[i].script != Script::kOther) {
        i = Words(i);
      } else {
        ++i;
      }
    }
    return std::move(terms_);
  }

 private:
  Script ScriptAt(std::size_t i) const {
    return i < chars_.size() ? chars_[i].script : Script::kOther;
  }

  static double BigramWeight(Script a, Script b) {
    // Particles and endings: が開, まま, ーが. An ending after a kanji (開け) still tells words
    // apart.
    if (a == Script::kHiragana) return 0.25;
    if (b == Script::kHiragana) return a == Script::kHan ? 0.7 : 0.25;
    return 1;
  }

  std::size_t CjkRun(std::size_t i) {
    std::vector<Char> run;
    std::size_t end = i;
    for (; IsCjk(ScriptAt(end)); ++end) {
      if (chars_[end].c == kLongVowel && !run.empty()) continue;
      run.push_back({AsHiragana(chars_[end].c), chars_[end].script});
    }
    for (std::size_t k = 0; k < run.size(); ++k) {
      const bool is_kanji = run[k].script == Script::kHan;
      if (is_kanji || run.size() == 1) {
        terms_.push_back({Utf8Of({run[k].c}), TermKind::kKanji, is_kanji ? 0.35 : 0.2});
      }
      if (k + 1 < run.size()) {
        terms_.push_back({Utf8Of({run[k].c, run[k + 1].c}), TermKind::kBigram,
                          BigramWeight(run[k].script, run[k + 1].script)});
      }
    }
    KanjiNumbers(run);
    return end;
  }

  void KanjiNumbers(const std::vector<Char>& run) {
    for (std::size_t k = 0; k < run.size();) {
      if (!KanjiDigit(run[k].c) && !KanjiUnit(run[k].c)) {
        ++k;
        continue;
      }
      long total = 0, digits = 0;
      bool any_unit = false;
      int length = 0;
      for (; k < run.size() && length < 9; ++k, ++length) {
        if (const auto digit = KanjiDigit(run[k].c)) {
          digits = digits * 10 + *digit;
        } else if (const int unit = KanjiUnit(run[k].c)) {
          total += (digits == 0 ? 1 : digits) * unit;
          digits = 0;
          any_unit = true;
        } else {
          break;
        }
      }
      const long value = any_unit ? total + digits : digits;
      terms_.push_back({std::to_string(value), TermKind::kNumber, 0.5});
    }
  }

  bool JoinsNumber(std::size_t i) const {
    return (chars_[i].c == '.' || chars_[i].c == ',') && i > 0 &&
           ScriptAt(i - 1) == Script::kDigit && ScriptAt(i + 1) == Script::kDigit;
  }

  // Letters and digits; pieces joined by - or _ or / also count as one word.
  std::size_t Words(std::size_t i) {
    std::string joined;
    int pieces = 0;
    while (i < chars_.size()) {
      const Script script = chars_[i].script;
      std::string piece;
      std::size_t length = 0;
      for (; i < chars_.size() && length < kWordCharsMax; ++i, ++length) {
        const bool number_mark = script == Script::kDigit && JoinsNumber(i);
        if (number_mark) {
          if (chars_[i].c == '.') piece += '.';
          continue;
        }
        if (ScriptAt(i) != script) break;
        AppendUtf8(piece, chars_[i].c);
      }
      AddWord(piece, script == Script::kDigit);
      joined += piece;
      ++pieces;
      const Script next = ScriptAt(i);
      if (next == Script::kLatin || next == Script::kDigit) continue;
      const bool hyphen = i < chars_.size() && (chars_[i].c == '-' || chars_[i].c == '_');
      const Script after = ScriptAt(i + 1);
      if (!hyphen || (after != Script::kLatin && after != Script::kDigit)) break;
      ++i;
    }
    if (pieces > 1 && joined.size() <= kWordCharsMax) {
      terms_.push_back({joined, TermKind::kNumber, 1});
    }
    return i;
  }

  void AddWord(std::string word, bool is_number) {
    if (is_number) {
      terms_.push_back({std::move(word), TermKind::kNumber, 0.6});
    } else {
      const double weight = word.size() == 1 ? 0.2 : 1;
      terms_.push_back({Stemmed(std::move(word)), TermKind::kWord, weight});
    }
  }

  // Plurals, -ed and -ing off (Harman's S stemmer and two rules more): enough for "doors" to meet
  // "door".
  static std::string Stemmed(std::string word) {
    const auto cut = [&](std::string_view suffix, std::size_t keep_min) {
      if (word.size() < suffix.size() + keep_min || !word.ends_with(suffix)) return false;
      word.resize(word.size() - suffix.size());
      return true;
    };
    if (cut("ies", 2)) {
      word += 'y';
    } else if (word.ends_with("sses") || word.ends_with("xes") || word.ends_with("ches") ||
               word.ends_with("shes")) {
      word.resize(word.size() - 2);
    } else if (!word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is")) {
      cut("s", 3);
    }
    if (cut("ing", 3) || cut("ed", 3)) {
      const std::size_t n = word.size();
      if (n > 3 && word[n - 1] == word[n - 2] && word[n - 1] != 'l' && word[n - 1] != 's')
        word.pop_back();
    }
    if (word.size() > 3 && word.ends_with('e')) word.pop_back();
    return word;
  }

  std::vector<Char> chars_;
  std::vector<Term> terms_;
};

// What only asks, longest first where one starts with another; hiragana as folded.
constexpr auto kAskingJapanese = std::to_array<std::u32string_view>({
    U"どのくらい", U"どれくらい",     U"どのぐらい", U"どれぐらい", U"どのように", U"どうすれば",
    U"どうやって", U"どうなりますか", U"どうなる",   U"でしょうか", U"ましょうか", U"てください",
    U"ください",   U"教えて",         U"おしえて",   U"いくつ",     U"いくら",     U"何ですか",
    U"なんですか", U"ありますか",     U"ですか",     U"ますか",     U"ませんか",   U"どこ",
    U"どの",       U"どれ",           U"どんな",     U"どう",       U"なぜ",       U"何故",
    U"いつ",       U"だれ",           U"誰",         U"とは",       U"何",         U"なに",
});

constexpr auto kAskingEnglish = std::to_array<std::string_view>({
    "a",     "an",   "the",   "is",    "are",    "was",   "were",  "be",     "been", "am",
    "do",    "does", "did",   "what",  "which",  "who",   "whom",  "whose",  "when", "where",
    "why",   "how",  "much",  "many",  "long",   "often", "to",    "of",     "in",   "on",
    "at",    "for",  "from",  "by",    "with",   "and",   "or",    "if",     "it",   "its",
    "this",  "that", "these", "those", "there",  "can",   "could", "should", "must", "may",
    "might", "will", "would", "shall", "has",    "have",  "had",   "i",      "we",   "you",
    "they",  "he",   "she",   "my",    "our",    "your",  "their", "me",     "us",   "them",
    "not",   "no",   "as",    "about", "please", "tell",  "into",  "than",   "then", "so",
    "but",   "any",  "some",  "s",     "t",      "did",   "been",
});

// Replaces asking words by a mark that no term crosses.
std::vector<Char> WithoutAskingWords(std::vector<Char> chars) {
  for (std::size_t i = 0; i < chars.size(); ++i) {
    for (const std::u32string_view word : kAskingJapanese) {
      if (i + word.size() > chars.size()) continue;
      const bool equal =
          std::equal(word.begin(), word.end(), chars.begin() + static_cast<std::ptrdiff_t>(i),
                     [](char32_t c, const Char& at) { return at.c == c; });
      if (!equal) continue;
      for (std::size_t k = 0; k < word.size(); ++k) chars[i + k] = {U' ', Script::kOther};
      break;
    }
  }
  return chars;
}

}  // namespace

std::vector<Term> TermsOf(std::string_view utf8) {
  return TermReader(CharsOf(utf8)).Read();
}

std::vector<Term> TermsOfQuestion(std::string_view utf8) {
  std::vector<Char> chars = CharsOf(utf8);
  const bool kana_only = std::none_of(chars.begin(), chars.end(), [](const Char& at) {
    return at.script == Script::kHan || at.script == Script::kLatin ||
           (at.script == Script::kKatakana && at.c != kLongVowel);
  });
  std::vector<Term> terms = TermReader(WithoutAskingWords(std::move(chars))).Read();
  // The stems of the English words are what terms hold.
  static const std::vector<std::string> kAskingStems = [] {
    std::vector<std::string> stems;
    for (const std::string_view word : kAskingEnglish) {
      for (const Term& term : TermsOf(word)) stems.push_back(term.text);
    }
    return stems;
  }();
  std::erase_if(terms, [](const Term& term) {
    return term.kind == TermKind::kWord &&
           std::find(kAskingStems.begin(), kAskingStems.end(), term.text) != kAskingStems.end();
  });
  if (kana_only) {
    for (Term& term : terms) {
      if (term.kind == TermKind::kBigram) term.weight = 1;
    }
  }
  return terms;
}

std::string Folded(std::string_view utf8) {
  std::string out;
  for (const Char& at : CharsOf(utf8)) AppendUtf8(out, AsHiragana(at.c));
  return out;
}

}  // namespace tatara::search
