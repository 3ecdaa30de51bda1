#include "history_search.h"

#include <algorithm>

#include "tatara/assistant/history.h"
#include "tatara/search/fold.h"

namespace tatara::assistant {
namespace {

constexpr std::size_t kSnippetCharacters = 120;
constexpr std::size_t kBeforeWord = 30;         // characters of the snippet before the word
constexpr std::size_t kWindowCharacters = 400;  // folded at a time
constexpr std::size_t kTrigram = 3;

bool BeginsCharacter(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

std::size_t CountCharacters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), BeginsCharacter));
}

// Offset of the n-th character behind `at`, or the text's end.
std::size_t Forward(std::string_view text, std::size_t at, std::size_t n) {
  while (at < text.size() && n > 0) {
    ++at;
    while (at < text.size() && !BeginsCharacter(text[at])) ++at;
    --n;
  }
  return at;
}

std::size_t Back(std::string_view text, std::size_t at, std::size_t n) {
  while (at > 0 && n > 0) {
    --at;
    while (at > 0 && !BeginsCharacter(text[at])) --at;
    --n;
  }
  return at;
}

bool HasAny(std::string_view text, const std::vector<std::string>& words) {
  const std::string folded = search::Folded(text);
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return folded.find(word) != std::string::npos;
  });
}

// Folding changes lengths, so the place in the text itself is found by folding pieces of it:
// windows that overlap by half, then ever later beginnings within the one that has a word.
std::size_t PlaceOfWord(std::string_view text, const std::vector<std::string>& words) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = Forward(text, begin, kWindowCharacters);
    if (HasAny(text.substr(begin, end - begin), words)) {
      std::size_t step = kWindowCharacters / 2;
      for (; step > 0; step /= 2) {
        const std::size_t later = Forward(text, begin, step);
        if (later < end && HasAny(text.substr(later, end - later), words)) begin = later;
      }
      return begin;
    }
    if (end == text.size()) break;
    begin = Forward(text, begin, kWindowCharacters / 2);
  }
  return 0;
}

}  // namespace

std::vector<std::string> SearchWords(std::string_view query) {
  const std::string folded = search::Folded(query.substr(0, kSearchBytesMax));
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty() && words.size() < kSearchWordsMax) words.push_back(word);
    word.clear();
  };
  for (const char c : folded) {
    const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
    if (blank) {
      end_word();
    } else {
      word += c;
    }
  }
  end_word();
  return words;
}

std::string TrigramExpression(const std::vector<std::string>& words) {
  std::string expression;
  for (const std::string& word : words) {
    if (CountCharacters(word) < kTrigram) continue;
    if (!expression.empty()) expression += " AND ";
    expression += '"';
    for (const char c : word) expression += c == '"' ? std::string("\"\"") : std::string(1, c);
    expression += '"';
  }
  return expression;
}

std::string SnippetOf(std::string_view text, const std::vector<std::string>& words) {
  const std::size_t place = PlaceOfWord(text, words);
  const std::size_t begin = Back(text, place, kBeforeWord);
  const std::size_t end = Forward(text, begin, kSnippetCharacters);
  std::string snippet = begin > 0 ? "…" : "";
  bool blank = false;
  for (const char c : text.substr(begin, end - begin)) {
    if (static_cast<unsigned char>(c) <= ' ') {
      blank = !snippet.empty();
      continue;
    }
    if (blank) snippet += ' ';
    blank = false;
    snippet += c;
  }
  if (end < text.size()) snippet += "…";
  return snippet;
}

}  // namespace tatara::assistant
