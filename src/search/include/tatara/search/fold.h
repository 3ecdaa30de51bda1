// Words of a text as search compares them. Both sides, documents and questions, go through the same
// folding:
//   - NFKC with case folding (full and half width, Ⅲ and III, ㎜ and mm);
//   - katakana to hiragana, the long-vowel mark dropped (センサー, センサ and せんさー are one);
//   - runs of kanji, kana: character bigrams, and each kanji by itself (開ける and 開放 share 開);
//   - Latin letters and digits: words; a light English stem; "TK-200" gives tk, 200 and tk200; 0.05
//   is one word;
//   - numbers in kanji also as digits (二十 gives 20).
// Thread safety: free functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tatara::search {

// Changes whenever the terms of some text change: an index of another version is built anew.
inline constexpr int kFoldVersion = 1;

enum class TermKind {
  kWord,    // Latin letters, or any other script
  kNumber,  // has a digit
  kBigram,  // two characters of kanji or kana
  kKanji,   // one kanji
};

struct Term {
  std::string text;
  TermKind kind = TermKind::kWord;
  // How much the term says about its subject, by script alone: kana that are mostly particles and
  // endings little, kanji, katakana and words much. In (0, 1].
  double weight = 1;
};

// In the order of the text; repeated terms repeat.
std::vector<Term> TermsOf(std::string_view utf8);

// Terms of a question: words that only ask (何, どのくらい, what, how …) are left out, and when it
// is written in hiragana alone its kana count fully.
std::vector<Term> TermsOfQuestion(std::string_view utf8);

// NFKC with case folding and katakana as hiragana, for comparing texts; keeps marks and blanks.
std::string Folded(std::string_view utf8);

}  // namespace tatara::search
