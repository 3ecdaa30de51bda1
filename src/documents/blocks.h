// What a reader of one format finds: sections under headings, made of blocks of whole lines.
// Cutting them into chunks is the same for every format (chunker.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tatara/documents/document.h"

namespace tatara::documents {

struct Line {
  std::size_t offset = 0;
  std::size_t length = 0;  // without the line end
};

enum class BlockKind { kParagraph, kList, kTable, kCode };

// Lines [first, last], 0-based, inclusive; no blank line at either end.
struct Block {
  BlockKind kind = BlockKind::kParagraph;
  std::size_t first = 0;
  std::size_t last = 0;
  std::vector<std::size_t> items;  // kList: first lines of the outermost items, ascending
};

struct Section {
  std::vector<std::string> heading_path;
  int level = 0;                  // of its heading; 0 before the first heading
  std::size_t heading_line = 0;   // last line of the heading, where level > 0
  std::size_t heading_first = 0;  // first line of it
  std::vector<Block> blocks;
};

struct Outline {
  std::string title;
  std::vector<Section> sections;
};

// Collects sections while keeping the path of open headings.
class OutlineBuilder {
 public:
  OutlineBuilder() { outline_.sections.emplace_back(); }
  void Heading(int level, std::string text, std::size_t first, std::size_t last);
  void Add(Block block) { outline_.sections.back().blocks.push_back(std::move(block)); }
  void SetTitle(std::string title) { outline_.title = std::move(title); }
  bool HasTitle() const { return !outline_.title.empty(); }
  Outline Finish() { return std::move(outline_); }

 private:
  Outline outline_;
  std::vector<std::pair<int, std::string>> open_;  // levels ascend strictly
};

Outline OutlineOfMarkdown(std::string_view text, const std::vector<Line>& lines);
Outline OutlineOfPlainText(std::string_view text, const std::vector<Line>& lines);

// Shared by the formats.
inline constexpr std::size_t kHeadingBytesMax = 400;  // a longer heading is kept up to here
std::string_view TrimAscii(std::string_view text);    // blanks, tabs, form feeds and U+3000
bool IsBlank(std::string_view line);
std::string Shortened(std::string_view utf8, std::size_t bytes_max);  // at a character's end

}  // namespace tatara::documents
