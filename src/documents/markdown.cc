// CommonMark's block structure (spec 0.31, chapters 4 and 5) and GFM tables, as far as cutting
// needs it: headings, fences, tables and lists are told apart; everything else is a paragraph of
// lines.
#include <optional>

#include "blocks.h"

namespace tatara::documents {
namespace {

constexpr std::size_t kFrontMatterLinesMax = 500;
// CommonMark makes a heading of any paragraph above a line of dashes; one longer than this is prose
// whose author meant a rule.
constexpr std::size_t kSetextLinesMax = 3;

std::size_t Indent(std::string_view line) {
  std::size_t width = 0;
  for (const char c : line) {
    if (c == ' ') {
      ++width;
    } else if (c == '\t') {
      width += 4 - width % 4;
    } else {
      break;
    }
  }
  return width;
}

std::string_view WithoutIndent(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : line.substr(begin);
}

// The text of a heading as a reader sees it: no emphasis, code or link marks, no {#anchor}.
std::string PlainHeading(std::string_view text) {
  text = TrimAscii(text);
  if (text.ends_with('}')) {
    const std::size_t open = text.rfind('{');
    if (open != std::string_view::npos && text.substr(open).starts_with("{#")) {
      text = TrimAscii(text.substr(0, open));
    }
  }
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size() &&
        std::string_view("*_`[]#\\").find(text[i + 1]) != std::string_view::npos) {
      plain += text[++i];
      continue;
    }
    if (c == '*' || c == '`') continue;
    if (text.substr(i).starts_with("__")) {
      ++i;
      continue;
    }
    if (c == '[') {
      const std::size_t close = text.find("](", i);
      const std::size_t end = close == std::string_view::npos ? close : text.find(')', close);
      if (end != std::string_view::npos) {
        plain += text.substr(i + 1, close - i - 1);
        i = end;
        continue;
      }
    }
    plain += c;
  }
  return Shortened(TrimAscii(plain), kHeadingBytesMax);
}

struct AtxHeading {
  int level = 0;
  std::string_view text;
};

std::optional<AtxHeading> AsAtxHeading(std::string_view line) {
  if (Indent(line) > 3) return std::nullopt;
  line = WithoutIndent(line);
  std::size_t level = 0;
  while (level < line.size() && line[level] == '#') ++level;
  if (level < 1 || level > static_cast<std::size_t>(kHeadingLevels)) return std::nullopt;
  std::string_view text = line.substr(level);
  if (!text.empty() && text.front() != ' ' && text.front() != '\t') return std::nullopt;
  text = TrimAscii(text);
  std::size_t end = text.size();
  while (end > 0 && text[end - 1] == '#') --end;
  // A closing run of # counts only after a blank, or when nothing else is there.
  if (end == 0) {
    text = {};
  } else if (end < text.size() && (text[end - 1] == ' ' || text[end - 1] == '\t')) {
    text = TrimAscii(text.substr(0, end));
  }
  return AtxHeading{static_cast<int>(level), text};
}

// 1 for a line of =, 2 for a line of -.
std::optional<int> AsSetextUnderline(std::string_view line) {
  if (Indent(line) > 3) return std::nullopt;
  line = TrimAscii(line);
  if (line.empty() || (line.front() != '=' && line.front() != '-')) return std::nullopt;
  if (line.find_first_not_of(line.front()) != std::string_view::npos) return std::nullopt;
  return line.front() == '=' ? 1 : 2;
}

bool IsThematicBreak(std::string_view line) {
  if (Indent(line) > 3) return false;
  line = TrimAscii(line);
  if (line.empty() || std::string_view("-_*").find(line.front()) == std::string_view::npos)
    return false;
  std::size_t marks = 0;
  for (const char c : line) {
    if (c == line.front()) {
      ++marks;
    } else if (c != ' ' && c != '\t') {
      return false;
    }
  }
  return marks >= 3;
}

struct Fence {
  char mark = 0;
  std::size_t length = 0;
};

// At any indent: inside a list a fence is indented with its item.
std::optional<Fence> AsFence(std::string_view line) {
  line = WithoutIndent(line);
  if (line.empty() || (line.front() != '`' && line.front() != '~')) return std::nullopt;
  const std::size_t end = line.find_first_not_of(line.front());
  const std::size_t length = end == std::string_view::npos ? line.size() : end;
  if (length < 3) return std::nullopt;
  if (line.front() == '`' && line.find('`', length) != std::string_view::npos) return std::nullopt;
  return Fence{line.front(), length};
}

bool ClosesFence(std::string_view line, const Fence& fence) {
  line = TrimAscii(line);
  return line.size() >= fence.length &&
         line.find_first_not_of(fence.mark) == std::string_view::npos;
}

bool IsTableDelimiter(std::string_view line) {
  line = TrimAscii(line);
  bool dash = false, pipe = false;
  for (const char c : line) {
    if (c == '-') {
      dash = true;
    } else if (c == '|') {
      pipe = true;
    } else if (c != ':' && c != ' ' && c != '\t') {
      return false;
    }
  }
  return dash && pipe;
}

bool IsListItem(std::string_view line) {
  line = WithoutIndent(line);
  if (line.empty()) return false;
  std::size_t mark = 0;
  if (std::string_view("-*+").find(line.front()) != std::string_view::npos) {
    mark = 1;
  } else {
    while (mark < line.size() && mark < 9 && line[mark] >= '0' && line[mark] <= '9') ++mark;
    if (mark == 0 || mark >= line.size() || (line[mark] != '.' && line[mark] != ')')) return false;
    ++mark;
  }
  return mark == line.size() || line[mark] == ' ' || line[mark] == '\t';
}

// What follows the mark of a list item.
std::string_view ItemContent(std::string_view line) {
  line = WithoutIndent(line);
  const std::size_t blank = line.find_first_of(" \t");
  return blank == std::string_view::npos ? std::string_view() : line.substr(blank);
}

class MarkdownReader {
 public:
  MarkdownReader(std::string_view text, const std::vector<Line>& lines)
      : text_(text), lines_(lines) {}

  Outline Read() {
    std::size_t i = FrontMatter();
    while (i < lines_.size()) {
      const std::string_view line = At(i);
      if (IsBlank(line)) {
        ++i;
      } else if (const auto fence = AsFence(line)) {
        i = Code(i, *fence);
      } else if (const auto heading = AsAtxHeading(line)) {
        builder_.Heading(heading->level, PlainHeading(heading->text), i, i);
        ++i;
      } else if (IsThematicBreak(line)) {
        ++i;
      } else if (StartsTable(i)) {
        i = Table(i);
      } else if (IsListItem(line)) {
        i = List(i);
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

  // Lines between --- and --- at the very start; only `title:` is read. Returns the line after it.
  std::size_t FrontMatter() {
    if (lines_.empty() || TrimAscii(At(0)) != "---") return 0;
    std::string title;
    for (std::size_t i = 1; i < lines_.size() && i <= kFrontMatterLinesMax; ++i) {
      std::string_view line = At(i);
      if (TrimAscii(line) == "---" || TrimAscii(line) == "...") {
        builder_.SetTitle(std::move(title));
        return i + 1;
      }
      if (line.starts_with("title:")) {
        line = TrimAscii(line.substr(6));
        if (line.size() >= 2 && (line.front() == '"' || line.front() == '\'') &&
            line.back() == line.front()) {
          line = line.substr(1, line.size() - 2);
        }
        title = Shortened(line, kHeadingBytesMax);
      }
    }
    return 0;
  }

  std::size_t FenceEnd(std::size_t i, const Fence& fence) const {
    for (std::size_t k = i + 1; k < lines_.size(); ++k) {
      if (ClosesFence(At(k), fence)) return k;
    }
    return lines_.size() - 1;
  }

  std::size_t LastNotBlank(std::size_t first, std::size_t last) const {
    while (last > first && IsBlank(At(last))) --last;
    return last;
  }

  std::size_t Code(std::size_t i, const Fence& fence) {
    const std::size_t end = FenceEnd(i, fence);
    builder_.Add({BlockKind::kCode, i, LastNotBlank(i, end), {}});
    return end + 1;
  }

  bool StartsTable(std::size_t i) const {
    return i + 1 < lines_.size() && At(i).find('|') != std::string_view::npos &&
           IsTableDelimiter(At(i + 1));
  }

  std::size_t Table(std::size_t i) {
    std::size_t end = i + 2;
    while (end < lines_.size() && !IsBlank(At(end)) && At(end).find('|') != std::string_view::npos)
      ++end;
    builder_.Add({BlockKind::kTable, i, end - 1, {}});
    return end;
  }

  // Ends a paragraph or a list without a blank line before it.
  bool StartsOtherBlock(std::size_t i) const {
    return AsAtxHeading(At(i)).has_value() || StartsTable(i);
  }

  std::size_t List(std::size_t i) {
    Block block{BlockKind::kList, i, i, {}};
    const std::size_t outer = Indent(At(i));
    bool after_blank = false;
    std::size_t k = i;
    while (k < lines_.size()) {
      const std::string_view line = At(k);
      if (IsBlank(line)) {
        after_blank = true;
        ++k;
        continue;
      }
      const bool item = IsListItem(line) && !IsThematicBreak(line);
      const bool inside = Indent(line) > outer + 1;
      if (!item && !inside && (after_blank || StartsOtherBlock(k) || IsThematicBreak(line))) break;
      if (item && Indent(line) <= outer + 1) block.items.push_back(k);
      after_blank = false;
      block.last = k;
      if (const auto fence = AsFence(item ? ItemContent(line) : line)) {
        if (!inside && !item) break;
        k = block.last = LastNotBlank(k, FenceEnd(k, *fence));
      }
      ++k;
    }
    if (k < lines_.size() && block.last == k)
      block.last = LastNotBlank(i, k - 1);  // a fence outside it
    builder_.Add(std::move(block));
    return k;
  }

  std::size_t Paragraph(std::size_t i) {
    std::size_t k = i + 1;
    while (k < lines_.size() && !IsBlank(At(k))) {
      const auto underline = AsSetextUnderline(At(k));
      if (underline && k - i <= kSetextLinesMax) {
        std::string heading;
        for (std::size_t j = i; j < k; ++j) {
          if (j > i) heading += ' ';
          heading += TrimAscii(At(j));
        }
        builder_.Heading(*underline, PlainHeading(heading), i, k);
        return k + 1;
      }
      if (StartsOtherBlock(k) || IsThematicBreak(At(k)) || AsFence(At(k)) || IsListItem(At(k)))
        break;
      ++k;
    }
    builder_.Add({BlockKind::kParagraph, i, k - 1, {}});
    return k;
  }

  std::string_view text_;
  const std::vector<Line>& lines_;
  OutlineBuilder builder_;
};

}  // namespace

Outline OutlineOfMarkdown(std::string_view text, const std::vector<Line>& lines) {
  return MarkdownReader(text, lines).Read();
}

}  // namespace tatara::documents
