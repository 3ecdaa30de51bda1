#include "evidence.h"

#include <algorithm>
#include <map>

namespace tatara::assistant {
namespace {

using search::Term;
using search::TermKind;

// Content, as opposed to particles, endings (月で of "6 か月です") and single letters.
bool IsContent(const Term& term) {
  if (term.kind == TermKind::kNumber) return false;
  return term.kind == TermKind::kBigram ? term.weight >= 1 : term.weight >= 0.3;
}

// Less content than about two words is too little to judge by.
constexpr double kContentMin = 1.5;

std::set<std::string> ContentOf(std::string_view text) {
  std::set<std::string> content;
  for (Term& term : search::TermsOf(text)) {
    if (IsContent(term)) content.insert(std::move(term.text));
  }
  return content;
}

bool IsNumber(std::string_view term) {
  return !term.empty() && term.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string PlainNumber(std::string number) {
  if (number.find('.') != std::string::npos) {
    while (number.ends_with('0')) number.pop_back();
    if (number.ends_with('.')) number.pop_back();
  }
  const std::size_t digit = number.find_first_not_of('0');
  if (digit == std::string::npos) return "0";
  return number[digit] == '.' ? "0" + number.substr(digit) : number.substr(digit);
}

struct Letters {
  std::size_t cjk = 0;
  std::size_t latin = 0;
};

Letters LettersOf(std::string_view text) {
  Letters letters;
  for (const unsigned char c : text) {
    letters.latin += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    // Lead bytes of U+3000..U+9FFF and of the half-width forms: kana, kanji.
    letters.cjk += (c >= 0xE3 && c <= 0xE9) || c == 0xEF;
  }
  return letters;
}

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\v';
}

// Bytes of a list mark with its blank at the start of a line: "- ", "3. ", "2) ", "・", "> ", "1)
// ".
std::size_t ListMarkBytes(std::string_view line) {
  std::size_t at = 0;
  while (at < line.size() && IsBlank(line[at])) ++at;
  for (const std::string_view mark : {"・", "●", "○", "■"}) {
    if (line.substr(at).starts_with(mark)) return at + mark.size();
  }
  std::size_t end = at;
  if (end < line.size() && std::string_view("-*+>").find(line[end]) != std::string_view::npos) {
    ++end;
  } else {
    while (end < line.size() && end - at < 3 && line[end] >= '0' && line[end] <= '9') ++end;
    if (end == at || end >= line.size() || (line[end] != '.' && line[end] != ')')) return 0;
    ++end;
  }
  return end < line.size() && line[end] == ' ' ? end + 1 : 0;
}

std::size_t SentenceMarkBytes(std::string_view text, std::size_t at) {
  for (const std::string_view mark : {"。", "！", "？", "．"}) {
    if (text.substr(at).starts_with(mark)) return mark.size();
  }
  const char c = text[at];
  const bool ends = at + 1 == text.size() || IsBlank(text[at + 1]);
  // "No. 5" and "3. " end no sentence: a sentence has a word of some length before its full stop.
  if (c == '.' && (at < 3 || !ends || IsBlank(text[at - 1]) || IsBlank(text[at - 2]) ||
                   IsBlank(text[at - 3]))) {
    return 0;
  }
  return (c == '.' || c == '!' || c == '?') && ends ? 1 : 0;
}

// A line that stands by itself: a row, a heading, aligned columns.
bool StandsAlone(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return true;
  if (line[first] == '|' || line[first] == '#' || line.substr(first).starts_with("```"))
    return true;
  return line.find("  ", first) != std::string_view::npos;
}

class UnitReader {
 public:
  UnitReader(const search::Passage& passage, std::size_t index)
      : text_(passage.text), line_first_(passage.line_first), index_(index) {}

  std::vector<QuoteUnit> Read() {
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t line_end = std::min(text_.find('\n', at), text_.size());
      const std::string_view line = text_.substr(at, line_end - at);
      if (StandsAlone(line) || ListMarkBytes(line) > 0) {
        Add(begin, at);
        begin = at + ListMarkBytes(line);
      }
      for (std::size_t k = std::max(begin, at); k < line_end; ++k) {
        if (const std::size_t mark = SentenceMarkBytes(text_.substr(0, line_end), k)) {
          Add(begin, k + mark);
          begin = k + mark;
          k += mark - 1;
        }
      }
      if (StandsAlone(line) || line_end - begin > kUnitBytesMax) {
        Add(begin, line_end);
        begin = line_end;
      }
      at = line_end + 1;
    }
    Add(begin, text_.size());
    return std::move(units_);
  }

 private:
  // Lines that end like no sentence are read as one up to here.
  static constexpr std::size_t kUnitBytesMax = 600;

  void Add(std::size_t begin, std::size_t end) {
    end = std::min(end, text_.size());
    while (begin < end && IsBlank(text_[begin])) ++begin;
    while (end > begin && IsBlank(text_[end - 1])) --end;
    if (end <= begin) return;
    const auto lines = [&](std::size_t until) {
      return static_cast<int>(
          std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(until), '\n'));
    };
    units_.push_back({.passage = index_,
                      .offset = begin,
                      .length = end - begin,
                      .line_first = line_first_ + lines(begin),
                      .line_last = line_first_ + lines(end)});
  }

  std::string_view text_;
  int line_first_;
  std::size_t index_;
  std::vector<QuoteUnit> units_;
};

}  // namespace

Language LanguageOf(std::string_view text) {
  const Letters letters = LettersOf(text);
  // One kanji says about as much as three letters.
  return letters.cjk > 0 && letters.cjk * 3 >= letters.latin ? Language::kJapanese
                                                             : Language::kEnglish;
}

std::set<std::string> NumbersOf(std::string_view text) {
  std::set<std::string> numbers;
  for (const Term& term : search::TermsOf(text)) {
    if (term.kind == TermKind::kNumber && IsNumber(term.text))
      numbers.insert(PlainNumber(term.text));
  }
  return numbers;
}

std::set<std::string> IdentifiersOf(std::string_view text) {
  std::set<std::string> identifiers;
  for (const Term& term : search::TermsOf(text)) {
    if (term.kind == TermKind::kNumber && !IsNumber(term.text)) identifiers.insert(term.text);
  }
  return identifiers;
}

std::vector<QuoteUnit> UnitsOf(const search::Passage& passage, std::size_t passage_index) {
  return UnitReader(passage, passage_index).Read();
}

std::string HeadingOf(const search::Passage& passage) {
  std::string heading;
  const auto add = [&](const std::string& part) {
    if (part.empty()) return;
    if (!heading.empty()) heading += " > ";
    heading += part;
  };
  if (passage.heading_path.empty() || passage.heading_path.front() != passage.title)
    add(passage.title);
  for (const std::string& part : passage.heading_path) add(part);
  return heading;
}

Evidence::Evidence(const std::vector<search::Passage>& passages, std::string_view question,
                   const std::vector<std::string>& hints)
    : question_terms_(ContentOf(question)), question_numbers_(NumbersOf(question)) {
  asked_ = search::TermsOfQuestion(question);
  for (const std::string& hint : hints) {
    for (Term& term : search::TermsOfQuestion(hint)) asked_.push_back(std::move(term));
  }
  for (std::size_t p = 0; p < passages.size(); ++p) {
    const search::Passage& passage = passages[p];
    const std::string head =
        passage.document + "\n" + HeadingOf(passage) + "\n" + passage.table_head;
    std::set<std::string> terms = ContentOf(head);
    terms.merge(ContentOf(passage.text));
    passage_terms_.push_back(std::move(terms));
    numbers_.merge(NumbersOf(head));
    numbers_.merge(NumbersOf(passage.text));
    (LanguageOf(passage.text) == Language::kJapanese ? passages_are_japanese_
                                                     : passages_are_english_) = true;
    for (const QuoteUnit& where : UnitsOf(passage, p)) {
      const std::string_view text =
          std::string_view(passage.text).substr(where.offset, where.length);
      Unit unit{.where = where, .numbers = NumbersOf(text)};
      for (Term& term : search::TermsOf(text)) unit.terms.insert(std::move(term.text));
      units_.push_back(std::move(unit));
    }
  }
}

std::vector<std::string> Evidence::InventedNumbers(std::string_view sentence) const {
  std::vector<std::string> invented;
  for (const std::string& number : NumbersOf(sentence)) {
    if (!numbers_.contains(number) && !question_numbers_.contains(number))
      invented.push_back(number);
  }
  return invented;
}

double Evidence::Support(std::string_view sentence) const {
  double all = 0, shared = 0;
  for (const Term& term : search::TermsOf(sentence)) {
    if (!IsContent(term) || question_terms_.contains(term.text)) continue;
    all += term.weight;
    for (const std::set<std::string>& terms : passage_terms_) {
      if (!terms.contains(term.text)) continue;
      shared += term.weight;
      break;
    }
  }
  return all >= kContentMin ? shared / all : 1;
}

bool Evidence::HasOtherLanguage(Language than) const {
  return than == Language::kJapanese ? passages_are_english_ : passages_are_japanese_;
}

bool Evidence::HasOwn(std::string_view sentence) const {
  for (const std::string& number : NumbersOf(sentence)) {
    if (!question_numbers_.contains(number) && numbers_.contains(number)) return true;
  }
  for (const std::string& term : ContentOf(sentence)) {
    if (question_terms_.contains(term)) continue;
    for (const std::set<std::string>& terms : passage_terms_) {
      if (terms.contains(term)) return true;
    }
  }
  return false;
}

// A term says the less about a unit the more units have it.
double Evidence::Score(const Unit& unit, const std::vector<Term>& terms) const {
  double score = 0;
  std::set<std::string_view> seen;
  for (const Term& term : terms) {
    if (!unit.terms.contains(term.text) || !seen.insert(term.text).second) continue;
    const auto having = std::count_if(units_.begin(), units_.end(), [&](const Unit& other) {
      return other.terms.contains(term.text);
    });
    score += term.weight / static_cast<double>(having + 1);
  }
  return score;
}

std::vector<double> Evidence::Scores(std::string_view sentence) const {
  constexpr double kAskedWeight = 0.5;
  // Earlier passages are nearer to the question.
  constexpr double kPassageStep = 0.02;
  const std::vector<Term> said = search::TermsOf(sentence);
  std::vector<double> scores;
  for (const Unit& unit : units_) {
    scores.push_back(Score(unit, said) + kAskedWeight * Score(unit, asked_) -
                     kPassageStep * static_cast<double>(unit.where.passage));
  }
  return scores;
}

std::set<std::string> Evidence::OwnNumbers(std::string_view sentence) const {
  std::set<std::string> numbers = NumbersOf(sentence);
  std::erase_if(numbers,
                [&](const std::string& number) { return question_numbers_.contains(number); });
  return numbers;
}

std::vector<QuoteUnit> Evidence::UnitsSaying(std::string_view sentence, int units_max) const {
  constexpr double kNumberWeight = 1.0;
  const std::vector<double> scores = Scores(sentence);
  std::set<std::string> missing = OwnNumbers(sentence);
  std::vector<QuoteUnit> chosen;
  while (static_cast<int>(chosen.size()) < units_max && (chosen.empty() || !missing.empty())) {
    const Unit* best = nullptr;
    double best_score = 0;
    for (std::size_t i = 0; i < units_.size(); ++i) {
      const auto found = std::count_if(
          missing.begin(), missing.end(),
          [&](const std::string& number) { return units_[i].numbers.contains(number); });
      if (!chosen.empty() && found == 0) continue;
      const double score = scores[i] + kNumberWeight * static_cast<double>(found);
      if (best == nullptr || score > best_score) best = &units_[i], best_score = score;
    }
    if (best == nullptr) break;
    chosen.push_back(best->where);
    for (const std::string& number : best->numbers) missing.erase(number);
  }
  return chosen;
}

std::vector<QuoteUnit> Evidence::UnitsPerPassage(std::string_view sentence, int units_max) const {
  const std::vector<double> scores = Scores(sentence);
  const std::set<std::string> numbers = OwnNumbers(sentence);
  const auto has_all = [&](const Unit& unit) {
    return std::includes(unit.numbers.begin(), unit.numbers.end(), numbers.begin(), numbers.end());
  };
  const bool any_has_all = std::any_of(units_.begin(), units_.end(), has_all);
  std::map<std::size_t, std::size_t> best;  // by passage
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (any_has_all && !has_all(units_[i])) continue;
    const auto [it, first] = best.emplace(units_[i].where.passage, i);
    if (!first && scores[i] > scores[it->second]) it->second = i;
  }
  std::vector<std::size_t> order;
  for (const auto& [_, unit] : best) order.push_back(unit);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  if (order.size() > static_cast<std::size_t>(units_max))
    order.resize(static_cast<std::size_t>(units_max));
  std::vector<QuoteUnit> units;
  for (const std::size_t i : order) units.push_back(units_[i].where);
  return units;
}

QuoteUnit Evidence::NearestUnit(std::size_t passage) const {
  const Unit* best = nullptr;
  double best_score = 0;
  for (const Unit& unit : units_) {
    if (unit.where.passage != passage) continue;
    const double score = Score(unit, asked_);
    if (best == nullptr || score > best_score) best = &unit, best_score = score;
  }
  return best != nullptr ? best->where : QuoteUnit{.passage = passage};
}

}  // namespace tatara::assistant
