// Finds tokens that are written out in a text and taken whole before any merging: leftmost first,
// longest among those that start at one place, as Hugging Face matches added tokens. Thread safety:
// immutable after construction; reading from any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tatara::text {

class SpecialTokens {
 public:
  struct Match {
    std::size_t begin = 0, length = 0;
    std::int32_t id = -1;  // -1: no token in the text
  };

  SpecialTokens() { root_.fill(-1); }
  // Texts need not outlive this object. Of equal texts the highest id is found, empty ones never.
  explicit SpecialTokens(std::vector<std::pair<std::string_view, std::int32_t>> tokens);

  // The longest token at text[begin], in the same form.
  Match MatchAt(std::string_view text, std::size_t begin) const;
  // Calls `found(length, id)` for every token at text[begin], the shortest first.
  template <typename Found>
  void ForEachAt(std::string_view text, std::size_t begin, const Found& found) const;
  // The first token in text[from...].
  Match Find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::int32_t id = -1;                                // of the token that ends here
    std::uint32_t children_begin = 0, children_end = 0;  // in edges_, ascending by byte
  };
  struct Edge {
    unsigned char byte;
    std::uint32_t node;
  };
  void Build(const std::vector<std::pair<std::string_view, std::int32_t>>& sorted);

  std::array<std::int32_t, 256> root_;  // node of each first byte, -1 where no token starts so
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

template <typename Found>
void SpecialTokens::ForEachAt(std::string_view text, std::size_t begin, const Found& found) const {
  std::int32_t at = root_[static_cast<unsigned char>(text[begin])];
  for (std::size_t end = begin + 1; at >= 0; ++end) {
    const Node& node = nodes_[static_cast<std::size_t>(at)];
    if (node.id >= 0) found(end - begin, node.id);
    if (end == text.size()) return;
    const auto byte = static_cast<unsigned char>(text[end]);
    const auto first = edges_.begin() + node.children_begin;
    const auto last = edges_.begin() + node.children_end;
    const auto edge = std::lower_bound(first, last, byte,
                                       [](const Edge& e, unsigned char b) { return e.byte < b; });
    if (edge == last || edge->byte != byte) return;
    at = static_cast<std::int32_t>(edge->node);
  }
}

}  // namespace tatara::text
