#include "special_tokens.h"

#include <algorithm>
#include <deque>

namespace tatara::text {

SpecialTokens::SpecialTokens(std::vector<std::pair<std::string_view, std::int32_t>> tokens) {
  root_.fill(-1);
  std::sort(tokens.begin(), tokens.end());
  Build(tokens);
}

// Level by level over the sorted texts: a node is a range of texts that share their first `depth`
// bytes, and its children are the sub-ranges by the next byte, so that they lie side by side in
// edges_.
void SpecialTokens::Build(const std::vector<std::pair<std::string_view, std::int32_t>>& sorted) {
  struct Range {
    std::uint32_t node;
    std::size_t begin, end, depth;
  };
  std::deque<Range> open;
  nodes_.push_back({});
  open.push_back({0, 0, sorted.size(), 0});
  while (!open.empty()) {
    Range range = open.front();
    open.pop_front();
    // Texts that end here sort before longer ones.
    while (range.begin < range.end && sorted[range.begin].first.size() == range.depth) {
      nodes_[range.node].id = sorted[range.begin++].second;
    }
    nodes_[range.node].children_begin = static_cast<std::uint32_t>(edges_.size());
    while (range.begin < range.end) {
      const char byte = sorted[range.begin].first[range.depth];
      std::size_t end = range.begin;
      while (end < range.end && sorted[end].first[range.depth] == byte) ++end;
      const auto child = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({});
      edges_.push_back({static_cast<unsigned char>(byte), child});
      open.push_back({child, range.begin, end, range.depth + 1});
      range.begin = end;
    }
    nodes_[range.node].children_end = static_cast<std::uint32_t>(edges_.size());
  }
  for (std::uint32_t i = nodes_[0].children_begin; i < nodes_[0].children_end; ++i) {
    root_[edges_[i].byte] = static_cast<std::int32_t>(edges_[i].node);
  }
}

SpecialTokens::Match SpecialTokens::MatchAt(std::string_view text, std::size_t begin) const {
  Match longest;
  ForEachAt(text, begin,
            [&](std::size_t length, std::int32_t id) { longest = {begin, length, id}; });
  return longest;
}

SpecialTokens::Match SpecialTokens::Find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (root_[static_cast<unsigned char>(text[begin])] < 0) continue;
    const Match match = MatchAt(text, begin);
    if (match.id >= 0) return match;
  }
  return {};
}

}  // namespace tatara::text
