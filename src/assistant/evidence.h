// Whether words stand in passages, and where: the numbers of an answer, how much of it the passages
// share, and the sentence, item or row that says it. Thread safety: values and free functions, any
// thread.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/search/fold.h"
#include "tatara/search/index.h"

namespace tatara::assistant {

enum class Language { kJapanese, kEnglish };

// Japanese where kana and kanji are a fair part of the letters; everything else is answered in
// English.
Language LanguageOf(std::string_view text);

// Numbers as search compares them ("4,500" and "４５００" are 4500, 二十 is 20), without zeros that
// say nothing: 2.0 and 2 are one.
std::set<std::string> NumbersOf(std::string_view text);

// "TK-300", "M4", "CR-1": words of letters and digits, folded and joined.
std::set<std::string> IdentifiersOf(std::string_view text);

// A piece that can be quoted: a sentence, a list item, a table row. Lines are of the document.
struct QuoteUnit {
  std::size_t passage = 0;  // index in the passages it was made from
  std::size_t offset = 0;   // bytes in Passage::text
  std::size_t length = 0;
  int line_first = 0;
  int line_last = 0;
};

// Units of one passage, ascending, without list marks and surrounding blanks.
std::vector<QuoteUnit> UnitsOf(const search::Passage& passage, std::size_t passage_index);

// "title > heading > heading", without repeating a title that is the first heading.
std::string HeadingOf(const search::Passage& passage);

// The passages of one prompt, with the terms and numbers of each and of each of their units.
class Evidence {
 public:
  // `question` and `hints` (the same in other words) help to choose among units; they support
  // nothing.
  Evidence(const std::vector<search::Passage>& passages, std::string_view question,
           const std::vector<std::string>& hints);

  // Numbers of `sentence` that neither a passage nor the question has.
  std::vector<std::string> InventedNumbers(std::string_view sentence) const;

  // Share of the sentence's own content (what is not in the question already) that the passages
  // have, 0..1; 1 where it has too little to judge by.
  double Support(std::string_view sentence) const;

  // Whether some passages are in another language: then a sentence's words can not tell that they
  // do not say it.
  bool HasOtherLanguage(Language than) const;

  // Whether `sentence` has a number or other content that the question has not and a passage has.
  bool HasOwn(std::string_view sentence) const;

  // The units that say `sentence`, best first: together they have all its numbers. At least one
  // where there is any passage; at most `units_max`.
  std::vector<QuoteUnit> UnitsSaying(std::string_view sentence, int units_max) const;

  // The unit of each passage that most likely says `sentence`, likeliest first; where some have all
  // its numbers, only those.
  std::vector<QuoteUnit> UnitsPerPassage(std::string_view sentence, int units_max) const;

  // Of one passage the unit nearest to the question.
  QuoteUnit NearestUnit(std::size_t passage) const;

 private:
  struct Unit {
    QuoteUnit where;
    std::set<std::string> terms;  // its own and, for a table's row, the table's head
    std::set<std::string> numbers;
  };
  double Score(const Unit& unit, const std::vector<search::Term>& terms) const;
  std::vector<double> Scores(std::string_view sentence) const;  // of units_
  std::set<std::string> OwnNumbers(std::string_view sentence) const;

  std::vector<Unit> units_;
  std::vector<std::set<std::string>> passage_terms_;  // head and text
  std::set<std::string> numbers_;                     // of all passages
  std::set<std::string> question_terms_;
  std::set<std::string> question_numbers_;
  std::vector<search::Term> asked_;  // question and hints
  bool passages_are_japanese_ = false;
  bool passages_are_english_ = false;
};

}  // namespace tatara::assistant
