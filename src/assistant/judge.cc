#include "judge.h"

#include <algorithm>
#include <array>

#include "prompt.h"

namespace tatara::assistant {
namespace {

// The refusal said in other words than asked for.
constexpr auto kSaysNot = std::to_array<std::string_view>({
    "【",
    "記載なし",
    "記載はありません",
    "記載がありません",
    "記載されていません",
    "記載されておりません",
    "記載がない",
    "書かれていません",
    "書いてありません",
    "見つかりません",
    "わかりません",
    "分かりません",
    "not stated",
    "not mentioned",
    "not specified",
    "not provided",
    "does not state",
    "do not state",
    "does not mention",
    "do not mention",
    "does not specify",
    "do not specify",
    "no information",
});

std::string Lowered(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

bool SaysNot(std::string_view sentence) {
  const std::string lowered = Lowered(sentence);
  return std::any_of(kSaysNot.begin(), kSaysNot.end(), [&](std::string_view words) {
    return lowered.find(words) != std::string::npos;
  });
}

bool IsBlank(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// End of the first whole sentence or line in `text`, or npos. A full stop counts once a blank
// follows: before that it may be inside a number.
std::size_t SentenceEnd(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const std::string_view mark : {"。", "！", "？"}) {
      if (text.substr(i).starts_with(mark)) return i + mark.size();
    }
    if (text[i] == '\n') return i + 1;
    const bool mark = text[i] == '.' || text[i] == '!' || text[i] == '?';
    // "approx. 5", "No. 3": a sentence does not go on with a digit or a small letter.
    if (mark && i + 2 < text.size() && text[i + 1] == ' ' && text[i + 2] >= 'A' &&
        text[i + 2] <= 'Z')
      return i + 1;
  }
  return std::string_view::npos;
}

}  // namespace

Judge::Judge(const Asked& asked, const std::vector<search::Passage>& passages,
             const std::vector<std::string>& hints)
    : asked_(asked), passages_(passages), evidence_(passages, asked.question, hints) {
  if (passages.empty()) reason_ = Unsupported::kNothingFound;
}

std::string Judge::Push(std::string_view text) {
  std::string out;
  if (stopped_) return out;
  held_ += text;
  for (std::size_t end; !stopped_ && (end = SentenceEnd(held_)) != std::string::npos;) {
    const std::string sentence = held_.substr(0, end);
    held_.erase(0, end);
    out += Take(sentence);
  }
  return out;
}

std::string Judge::Finish() {
  if (stopped_) return {};
  const std::string rest = std::move(held_);
  held_.clear();
  std::string out = Take(rest);
  stopped_ = true;
  return out;
}

std::string Judge::Answer() const {
  return supported() ? shown_ : std::string(RefusalText(asked_.answer_language));
}

std::vector<Citation> Judge::Choices(int choices_max) const {
  std::vector<Citation> choices;
  for (const QuoteUnit& unit : evidence_.UnitsPerPassage(bare_, choices_max))
    choices.push_back(Cite(unit, 1));
  return choices;
}

void Judge::Choose(Citation citation) {
  citations_ = {std::move(citation)};
  shown_ = bare_ + " [1]";
}

void Judge::Reword(std::string words) {
  bare_ = std::move(words);
  shown_ = bare_ + " ";
  for (const Citation& citation : citations_) shown_ += "[" + std::to_string(citation.number) + "]";
}

std::string Judge::Quotes() const {
  std::string quotes;
  for (const Citation& citation : citations_) {
    if (!quotes.empty()) quotes += "\n";
    quotes += citation.heading + ": " + citation.quote;
  }
  return quotes;
}

void Judge::Refuse() {
  citations_.clear();
  cited_.clear();
  shown_.clear();
  bare_.clear();
  Stop(Unsupported::kModelSaysNo);
}

void Judge::Stop(Unsupported reason) {
  stopped_ = true;
  held_.clear();
  // What passed before stands by itself.
  if (citations_.empty()) reason_ = reason;
}

std::string Judge::Take(std::string_view sentence) {
  sentence = Trimmed(sentence);
  if (sentence.empty()) return {};
  if (SaysNot(sentence)) return Stop(Unsupported::kModelSaysNo), std::string();
  if (!evidence_.InventedNumbers(sentence).empty())
    return Stop(Unsupported::kNumberInvented), std::string();
  const double support = evidence_.Support(sentence);
  const bool other_language = evidence_.HasOtherLanguage(LanguageOf(sentence));
  if (support < kSupportMin && !other_language)
    return Stop(Unsupported::kNotInPassages), std::string();
  must_choose_ |= other_language && support < kSupportPlain;
  const std::vector<QuoteUnit> units = evidence_.UnitsSaying(sentence, kCitationsMax);
  if (units.empty()) return Stop(Unsupported::kNotInPassages), std::string();

  std::string marks;
  for (const QuoteUnit& unit : units) {
    const auto same = [&](const QuoteUnit& other) {
      return other.passage == unit.passage && other.offset == unit.offset;
    };
    const auto known = std::find_if(cited_.begin(), cited_.end(), same);
    int number = static_cast<int>(known - cited_.begin()) + 1;
    if (known == cited_.end()) {
      if (number > kCitationsMax) continue;
      cited_.push_back(unit);
      citations_.push_back(Cite(unit, number));
    }
    marks += "[" + std::to_string(number) + "]";
  }
  reason_ = Unsupported::kNo;
  std::string out = shown_.empty() ? "" : " ";
  out += sentence;
  if (!marks.empty()) out += " " + marks;
  shown_ += out;
  if (!bare_.empty()) bare_ += ' ';
  bare_ += sentence;
  return out;
}

Citation Judge::Cite(const QuoteUnit& unit, int number) const {
  const search::Passage& passage = passages_[unit.passage];
  return {.number = number,
          .document = passage.document,
          .path = passage.path,
          .heading = HeadingOf(passage),
          .line_first = unit.line_first,
          .line_last = unit.line_last,
          .quote = passage.text.substr(unit.offset, unit.length),
          .document_sha256 = passage.document_sha256};
}

std::vector<Citation> Judge::Nearest(int passages_max) const {
  std::vector<Citation> nearest;
  for (std::size_t p = 0; p < passages_.size() && static_cast<int>(nearest.size()) < passages_max;
       ++p) {
    const QuoteUnit unit = evidence_.NearestUnit(p);
    if (unit.length > 0) nearest.push_back(Cite(unit, 0));
  }
  return nearest;
}

}  // namespace tatara::assistant
