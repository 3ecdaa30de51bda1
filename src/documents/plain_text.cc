// Plain text: few and modest signs of headings, so that prose and numbered steps are not torn
// apart.
//
// A heading is a short line (kHeadingCellsMax) that does not end like a sentence and is one of
//   - "第3章 …", "第2節 …", "第5条 …";
//   - "1. …", "2.3 …", "１．…" with a blank line (or nothing) before it, where the next line that
//   is not
//     blank is no number of the same depth: those are steps of a list;
//   - "■ …", "◆ …", or a line that is wholly 【…】;
//   - a line above a rule of three or more = or -;
//   - the first line of the file, where a blank line or a rule follows: the title.
#include <optional>

#include "blocks.h"

namespace tatara::documents {
namespace {

constexpr std::size_t kHeadingCellsMax = 60;

bool EndsLikeSentence(std::string_view line) {
  for (const std::string_view end : {"。", "．", "、", ".", ",", ";", "；", ":", "："}) {
    if (line.ends_with(end)) return true;
  }
  return false;
}

bool IsRule(std::string_view line) {
  line = TrimAscii(line);
  if (line.size() < 3 || std::string_view("=-*_").find(line.front()) == std::string_view::npos)
    return false;
  return line.find_first_not_of(line.front()) == std::string_view::npos;
}

// Bytes of an ASCII or full-width digit at the start, or 0.
std::size_t DigitBytes(std::string_view text) {
  if (!text.empty() && text.front() >= '0' && text.front() <= '9') return 1;
  if (text.size() >= 3 && text.starts_with("\xEF\xBC") &&
      static_cast<unsigned char>(text[2]) >= 0x90 && static_cast<unsigned char>(text[2]) <= 0x99) {
    return 3;
  }
  return 0;
}

std::size_t DotBytes(std::string_view text) {
  if (text.starts_with('.')) return 1;
  return text.starts_with("．") ? std::string_view("．").size() : 0;
}

// Depth of "2.3 text" (here 2), or 0. At most two digits a part, so that years and part numbers are
// none.
int NumberDepth(std::string_view line) {
  line = TrimAscii(line);
  int depth = 0;
  bool dotted = false;
  while (true) {
    int digits = 0;
    while (const std::size_t bytes = DigitBytes(line)) {
      line.remove_prefix(bytes);
      ++digits;
    }
    if (digits == 0) break;
    if (digits > 2) return 0;
    ++depth;
    dotted = false;
    if (const std::size_t bytes = DotBytes(line)) {
      line.remove_prefix(bytes);
      dotted = true;
    } else {
      break;
    }
  }
  if (depth == 0 || line.empty()) return 0;
  const bool blank =
      line.front() == ' ' || line.front() == '\t' || line.starts_with("\xE3\x80\x80");
  // "1.text" counts after its dot; "1.5text" and "3 axes" do not: a single number needs its dot.
  if (!blank && !dotted) return 0;
  if (depth == 1 && !dotted) return 0;
  // "20.5 mm" is a measure: a title does not start with a small Latin letter.
  const std::string_view title = TrimAscii(line);
  if (!title.empty() && title.front() >= 'a' && title.front() <= 'z') return 0;
  return TrimAscii(line).empty() ? 0 : depth;
}

std::optional<int> ChapterLevel(std::string_view line) {
  if (!line.starts_with("第")) return std::nullopt;
  line.remove_prefix(std::string_view("第").size());
  int digits = 0;
  while (true) {
    std::size_t bytes = DigitBytes(line);
    for (const std::string_view numeral :
         {"一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "百"}) {
      if (line.starts_with(numeral)) bytes = numeral.size();
    }
    if (bytes == 0) break;
    line.remove_prefix(bytes);
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  if (line.starts_with("部") || line.starts_with("章")) return 1;
  if (line.starts_with("節") || line.starts_with("条")) return 2;
  if (line.starts_with("項")) return 3;
  return std::nullopt;
}

class PlainTextReader {
 public:
  PlainTextReader(std::string_view text, const std::vector<Line>& lines)
      : text_(text), lines_(lines) {}

  Outline Read() {
    std::size_t i = 0;
    while (i < lines_.size()) {
      const std::string_view line = TrimAscii(At(i));
      if (line.empty() || IsRule(line)) {
        ++i;
      } else if (const auto level = HeadingLevel(i)) {
        seen_text_ = true;
        builder_.Heading(*level, Shortened(line, kHeadingBytesMax), i, i);
        ++i;
      } else {
        i = Paragraph(i);
      }
    }
    return builder_.Finish();
  }

 private:
  std::string_view At(std::size_t i) const {
    return text_.substr(lines_[i].offset, lines_[i].length);
  }
  bool BlankAt(std::size_t i) const { return i >= lines_.size() || IsBlank(At(i)); }

  std::optional<int> HeadingLevel(std::size_t i) const {
    const std::string_view line = TrimAscii(At(i));
    if (line.size() > kHeadingBytesMax || CellsOf(line) > kHeadingCellsMax ||
        EndsLikeSentence(line)) {
      return std::nullopt;
    }
    if (const auto chapter = ChapterLevel(line)) return *chapter + 1;
    if (i + 1 < lines_.size() && IsRule(At(i + 1))) return seen_text_ ? 2 : 1;
    if (!seen_text_ && i + 1 < lines_.size() && BlankAt(i + 1)) return 1;
    if (line.starts_with("■") || line.starts_with("◆")) return 2;
    if (line.starts_with("【") && line.ends_with("】")) return 2;
    const int depth = NumberDepth(line);
    if (depth > 0 && (i == 0 || BlankAt(i - 1) || IsRule(At(i - 1))) && NextDepth(i) != depth)
      return depth + 1;
    return std::nullopt;
  }

  int NextDepth(std::size_t i) const {
    for (std::size_t k = i + 1; k < lines_.size(); ++k) {
      if (!BlankAt(k)) return NumberDepth(At(k));
    }
    return 0;
  }

  std::size_t Paragraph(std::size_t i) {
    seen_text_ = true;
    std::size_t k = i + 1;
    while (k < lines_.size() && !BlankAt(k) && !IsRule(At(k)) && !HeadingLevel(k)) ++k;
    builder_.Add({BlockKind::kParagraph, i, k - 1, {}});
    return k;
  }

  std::string_view text_;
  const std::vector<Line>& lines_;
  OutlineBuilder builder_;
  bool seen_text_ = false;
};

}  // namespace

Outline OutlineOfPlainText(std::string_view text, const std::vector<Line>& lines) {
  return PlainTextReader(text, lines).Read();
}

}  // namespace tatara::documents
