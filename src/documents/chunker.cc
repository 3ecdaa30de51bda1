#include "chunker.h"

#include <algorithm>

namespace tatara::documents {
namespace {

// A piece of the text, and the width of it.
struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t cells = 0;
  bool in_table = false;  // cut inside the table whose head is lines [table_head, table_head + 1]
  std::size_t table_head = 0;
};

std::size_t CharacterEnd(std::string_view text, std::size_t at) {
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

bool IsSpaceAt(std::string_view text, std::size_t at) {
  return text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\f' ||
         text[at] == '\v';
}

class Cutter {
 public:
  Cutter(std::string_view text, const std::vector<Line>& lines) : text_(text), lines_(lines) {}

  std::vector<Chunk> Cut(const std::vector<Section>& sections) {
    for (std::size_t s = 0; s < sections.size(); ++s) {
      const bool is_leaf = s + 1 == sections.size() || sections[s + 1].level <= sections[s].level;
      CutSection(sections[s], is_leaf);
    }
    return std::move(chunks_);
  }

 private:
  std::size_t Begin(std::size_t line) const { return lines_[line].offset; }
  std::size_t End(std::size_t line) const { return lines_[line].offset + lines_[line].length; }
  std::size_t Cells(std::size_t begin, std::size_t end) const {
    return CellsOf(text_.substr(begin, end - begin));
  }
  Part MakePart(std::size_t begin, std::size_t end) const {
    return {begin, end, Cells(begin, end)};
  }

  void CutSection(const Section& section, bool is_leaf) {
    section_ = &section;
    std::vector<Part> parts;
    for (const Block& block : section.blocks) {
      const Part whole = MakePart(Begin(block.first), End(block.last));
      if (whole.cells <= kChunkCellsMax) {
        parts.push_back(whole);
      } else {
        CutBlock(block, parts);
      }
    }
    Pack(parts);
    // A heading with nothing below it may be all that is said ("Extension 4711").
    if (section.blocks.empty() && section.level > 0 && is_leaf) {
      std::vector<Part> heading;
      CutLines(section.heading_first, section.heading_line, heading);
      Pack(heading);
    }
  }

  void CutBlock(const Block& block, std::vector<Part>& parts) {
    const std::size_t before = parts.size();
    if (block.kind == BlockKind::kList && !block.items.empty()) {
      for (std::size_t i = 0; i < block.items.size(); ++i) {
        const std::size_t last = i + 1 < block.items.size() ? block.items[i + 1] - 1 : block.last;
        AddLinesOrCut(i == 0 ? block.first : block.items[i], last, parts);
      }
    } else {
      CutLines(block.first, block.last, parts);
    }
    if (block.kind == BlockKind::kTable) {
      for (std::size_t i = before; i < parts.size(); ++i) {
        parts[i].in_table = parts[i].begin > End(block.first + 1);
        parts[i].table_head = block.first;
      }
    }
  }

  void AddLinesOrCut(std::size_t first, std::size_t last, std::vector<Part>& parts) {
    while (last > first && IsBlank(text_.substr(Begin(last), lines_[last].length))) --last;
    const Part part = MakePart(Begin(first), End(last));
    if (part.cells <= kChunkCellsMax) {
      parts.push_back(part);
    } else {
      CutLines(first, last, parts);
    }
  }

  void CutLines(std::size_t first, std::size_t last, std::vector<Part>& parts) {
    for (std::size_t line = first; line <= last; ++line) {
      const Part part = MakePart(Begin(line), End(line));
      if (part.cells <= kChunkCellsMax) {
        parts.push_back(part);
      } else {
        CutSentences(part, parts);
      }
    }
  }

  // After 。！？ and after . ! ? that a blank follows.
  bool SentenceEndsAt(std::size_t at, std::size_t next, std::size_t end) const {
    const std::string_view c = text_.substr(at, next - at);
    if (c == "。" || c == "！" || c == "？" || c == "．") return true;
    return (c == "." || c == "!" || c == "?") && next < end && text_[next] == ' ';
  }

  void CutSentences(const Part& line, std::vector<Part>& parts) {
    std::size_t begin = line.begin;
    for (std::size_t at = line.begin; at < line.end;) {
      const std::size_t next = CharacterEnd(text_, at);
      if (SentenceEndsAt(at, next, line.end) || next >= line.end) {
        CutCharacters(begin, std::min(next, line.end), parts);
        begin = next;
      }
      at = next;
    }
  }

  // Where nothing coarser fits: at the last blank or comma of a stretch, else at a character's end.
  void CutCharacters(std::size_t begin, std::size_t end, std::vector<Part>& parts) {
    std::size_t cells = 0, joint = begin;
    for (std::size_t at = begin; at < end;) {
      const std::size_t next = std::min(CharacterEnd(text_, at), end);
      const std::size_t width = Cells(at, next);
      if (cells + width > kChunkCellsMax) {
        const std::size_t cut = joint > begin ? joint : at;
        parts.push_back(MakePart(begin, cut));
        begin = cut;
        cells = Cells(begin, at);
      }
      cells += width;
      const std::string_view c = text_.substr(at, next - at);
      if (c == " " || c == "、" || c == "，" || c == ",") joint = next;
      at = next;
    }
    if (begin < end) parts.push_back(MakePart(begin, end));
  }

  // Neighbouring parts together, in pieces of about equal width.
  void Pack(const std::vector<Part>& parts) {
    if (parts.empty()) return;
    std::size_t total = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) total += parts[i].cells + Gap(parts, i);
    const std::size_t pieces = (total + kChunkCellsMax - 1) / kChunkCellsMax;
    const std::size_t target = total / std::max<std::size_t>(pieces, 1);
    std::size_t first = 0, cells = parts[0].cells;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const std::size_t more = Gap(parts, i) + parts[i].cells;
      // Past the target only where the part goes over it by less than it would leave missing.
      const bool past_target =
          cells + more > target && target - std::min(target, cells) < more / 2 + 1;
      if (cells + more > kChunkCellsMax || (pieces > 1 && past_target)) {
        Emit(parts[first], parts[i - 1].end);
        first = i;
        cells = parts[i].cells;
      } else {
        cells += more;
      }
    }
    Emit(parts[first], parts.back().end);
  }

  std::size_t Gap(const std::vector<Part>& parts, std::size_t i) const {
    return i == 0 ? 0 : Cells(parts[i - 1].end, parts[i].begin);
  }

  void Emit(const Part& first_part, std::size_t end) {
    std::size_t begin = first_part.begin;
    while (begin < end && IsSpaceAt(text_, begin)) ++begin;
    while (end > begin && IsSpaceAt(text_, end - 1)) --end;
    if (begin == end) return;
    Chunk chunk{.heading_path = section_->heading_path, .offset = begin, .length = end - begin};
    chunk.line_first = LineOf(begin);
    chunk.line_last = LineOf(end - 1);
    if (first_part.in_table) {
      const std::size_t head_begin = Begin(first_part.table_head);
      const std::size_t head_end = End(first_part.table_head + 1);
      // A head as wide as a chunk would leave no room for what it heads.
      if (Cells(head_begin, head_end) <= kChunkCellsMax / 2) {
        chunk.table_head = text_.substr(head_begin, head_end - head_begin);
      }
    }
    chunks_.push_back(std::move(chunk));
  }

  int LineOf(std::size_t offset) const {
    const auto after =
        std::upper_bound(lines_.begin(), lines_.end(), offset,
                         [](std::size_t at, const Line& line) { return at < line.offset; });
    return static_cast<int>(after - lines_.begin());
  }

  std::string_view text_;
  const std::vector<Line>& lines_;
  const Section* section_ = nullptr;
  std::vector<Chunk> chunks_;
};

}  // namespace

std::vector<Chunk> CutIntoChunks(std::string_view text, const std::vector<Line>& lines,
                                 const std::vector<Section>& sections) {
  return Cutter(text, lines).Cut(sections);
}

}  // namespace tatara::documents
