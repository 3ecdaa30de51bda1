#include "blocks.h"

#include <algorithm>

namespace tatara::documents {

void OutlineBuilder::Heading(int level, std::string text, std::size_t first, std::size_t last) {
  if (level == 1 && !HasTitle()) SetTitle(text);
  while (!open_.empty() && open_.back().first >= level) open_.pop_back();
  open_.emplace_back(level, std::move(text));
  Section section{.level = level, .heading_line = last, .heading_first = first};
  for (const auto& [_, heading] : open_) section.heading_path.push_back(heading);
  outline_.sections.push_back(std::move(section));
}

std::string_view TrimAscii(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\f\v";
  constexpr std::string_view kWide = "\xE3\x80\x80";
  for (bool again = true; again && !text.empty();) {
    again = false;
    if (kBlanks.find(text.front()) != std::string_view::npos) text.remove_prefix(1), again = true;
    if (text.starts_with(kWide)) text.remove_prefix(kWide.size()), again = true;
  }
  for (bool again = true; again && !text.empty();) {
    again = false;
    if (kBlanks.find(text.back()) != std::string_view::npos) text.remove_suffix(1), again = true;
    if (text.ends_with(kWide)) text.remove_suffix(kWide.size()), again = true;
  }
  return text;
}

bool IsBlank(std::string_view line) {
  return TrimAscii(line).empty();
}

std::string Shortened(std::string_view utf8, std::size_t bytes_max) {
  if (utf8.size() <= bytes_max) return std::string(utf8);
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(utf8[end]) & 0xC0) == 0x80) --end;
  return std::string(utf8.substr(0, end));
}

}  // namespace tatara::documents
