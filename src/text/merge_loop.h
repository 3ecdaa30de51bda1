// The loop that byte pair encoding is: of all adjacent pairs that have a merge, the one of lowest
// rank (leftmost among equals) is joined, until none is left. Two forms with one result: a scan for
// short pieces, a tournament over the ranks for long ones (O(n log n) for n symbols whatever the
// text).
//
// Policy provides: `Symbol` (trivially copyable); `Merge Find(const Symbol&, const Symbol&) const`;
// `Symbol Join(const Symbol&, const Symbol&, std::int32_t id) const`.
// Thread safety: one MergeLoop, one thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "hash_tables.h"

namespace tatara::text {

template <typename Policy>
class MergeLoop {
 public:
  using Symbol = typename Policy::Symbol;
  // Above this many symbols the quadratic scan costs more than the tournament does.
  static constexpr std::size_t kScanMax = 24;

  // Joins what can be joined in `symbols`, in place; at most 2^31 symbols.
  void Run(const Policy& policy, std::vector<Symbol>& symbols) {
    if (symbols.size() <= kScanMax) {
      Scan(policy, symbols);
    } else {
      Tournament(policy, symbols);
    }
  }

  // Gives back what a very long piece needed.
  void Trim(std::size_t bytes_max) {
    if (nodes_.capacity() * sizeof(Node) + ranks_.capacity() * sizeof(std::uint32_t) <= bytes_max)
      return;
    std::vector<Node>().swap(nodes_);
    std::vector<std::uint32_t>().swap(ranks_);
  }

 private:
  struct Node {
    Symbol symbol;
    std::uint32_t previous, next;
    std::int32_t joined;  // what this symbol and the next become
  };
  static constexpr std::uint32_t kEnd = ~std::uint32_t{0};

  void Scan(const Policy& policy, std::vector<Symbol>& symbols) {
    std::uint32_t rank[kScanMax];   // of the pair (i, i + 1)
    std::int32_t joined[kScanMax];  // what that pair becomes
    Symbol* const s = symbols.data();
    std::size_t n = symbols.size();
    if (n < 2) return;
    const auto look_up = [&](std::size_t i) {
      const Merge merge = policy.Find(s[i], s[i + 1]);
      rank[i] = merge.rank;
      joined[i] = merge.id;
    };
    for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
    while (n > 1) {
      std::size_t at = 0;
      for (std::size_t i = 1; i + 1 < n; ++i) at = rank[i] < rank[at] ? i : at;
      if (rank[at] == Merge::kNone) break;
      s[at] = policy.Join(s[at], s[at + 1], joined[at]);
      const std::size_t n_after = n - at - 2;  // symbols to the right of the pair
      std::memmove(s + at + 1, s + at + 2, n_after * sizeof(Symbol));
      if (n_after > 0) {
        std::memmove(rank + at + 1, rank + at + 2, (n_after - 1) * sizeof rank[0]);
        std::memmove(joined + at + 1, joined + at + 2, (n_after - 1) * sizeof joined[0]);
      }
      --n;
      if (at > 0) look_up(at - 1);
      if (at + 1 < n) look_up(at);
    }
    symbols.resize(n);
  }

  // ranks_ is a complete binary tree in an array: leaf n_leaves + i holds the rank of the pair that
  // begins at node i, every inner node the lower of its two children, so the root holds the lowest
  // of all and the way down that prefers the left child ends at its leftmost place.
  void Tournament(const Policy& policy, std::vector<Symbol>& symbols) {
    const auto n = static_cast<std::uint32_t>(symbols.size());
    const std::uint32_t n_leaves = std::bit_ceil(n);
    nodes_.resize(n);
    ranks_.assign(std::size_t{2} * n_leaves, Merge::kNone);
    std::uint32_t* const ranks = ranks_.data();
    const auto find = [&](std::uint32_t i) {
      Node& node = nodes_[i];
      if (node.next == kEnd) return Merge::kNone;
      const Merge merge = policy.Find(node.symbol, nodes_[node.next].symbol);
      node.joined = merge.id;
      return merge.rank;
    };
    for (std::uint32_t i = 0; i < n; ++i) {
      nodes_[i] = {symbols[i], i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1, -1};
    }
    for (std::uint32_t i = 0; i < n; ++i) ranks[n_leaves + i] = find(i);
    for (std::uint32_t i = n_leaves - 1; i > 0; --i)
      ranks[i] = std::min(ranks[2 * i], ranks[2 * i + 1]);
    const auto set = [&](std::uint32_t i, std::uint32_t rank) {
      std::uint32_t at = n_leaves + i;
      ranks[at] = rank;
      while (at > 1) {
        const std::uint32_t lower = std::min(ranks[at], ranks[at ^ 1]);
        at >>= 1;
        if (ranks[at] == lower) break;  // nothing above changes
        ranks[at] = lower;
      }
    };
    while (ranks[1] != Merge::kNone) {
      std::uint32_t at = 1;
      while (at < n_leaves) at = 2 * at + (ranks[2 * at] != ranks[at]);
      at -= n_leaves;
      Node& node = nodes_[at];
      const std::uint32_t gone = node.next;
      node.symbol = policy.Join(node.symbol, nodes_[gone].symbol, node.joined);
      node.next = nodes_[gone].next;
      if (node.next != kEnd) nodes_[node.next].previous = at;
      set(gone, Merge::kNone);
      set(at, find(at));
      if (node.previous != kEnd) set(node.previous, find(node.previous));
    }
    symbols.clear();
    for (std::uint32_t i = 0; i != kEnd; i = nodes_[i].next) symbols.push_back(nodes_[i].symbol);
  }

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> ranks_;
};

}  // namespace tatara::text
