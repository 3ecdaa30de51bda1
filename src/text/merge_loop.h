// The loop that byte pair encoding is: of all adjacent pairs that have a merge, the one of lowest
// rank (leftmost among equals) is joined, until none is left. Two forms with one result: a scan for
// short pieces, a heap over a linked list for long ones (O(n log n) for n symbols whatever the
// text).
//
// Policy provides: `Symbol` (trivially copyable); `Merge Find(const Symbol&, const Symbol&) const`;
// `Symbol Join(const Symbol&, const Symbol&, std::int32_t id) const`.
// Thread safety: one MergeLoop, one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "hash_tables.h"

namespace tatara::text {

template <typename Policy>
class MergeLoop {
 public:
  using Symbol = typename Policy::Symbol;
  // Above this many symbols the quadratic scan costs more than the heap does.
  static constexpr std::size_t kScanMax = 96;

  // Joins what can be joined in `symbols`, in place; at most 2^31 symbols.
  void Run(const Policy& policy, std::vector<Symbol>& symbols) {
    if (symbols.size() <= kScanMax) {
      Scan(policy, symbols);
    } else {
      Heap(policy, symbols);
    }
  }

  // Gives back what a very long piece needed.
  void Trim(std::size_t bytes_max) {
    if (nodes_.capacity() * sizeof(Node) + heap_.capacity() * sizeof(std::uint64_t) <= bytes_max)
      return;
    std::vector<Node>().swap(nodes_);
    std::vector<std::uint64_t>().swap(heap_);
  }

 private:
  struct Node {
    Symbol symbol;
    std::uint32_t previous, next;
    Merge merge;  // with the next symbol; kNone where none, or where this node was joined away
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

  void Heap(const Policy& policy, std::vector<Symbol>& symbols) {
    const auto n = static_cast<std::uint32_t>(symbols.size());
    nodes_.resize(n);
    heap_.clear();
    for (std::uint32_t i = 0; i < n; ++i) {
      nodes_[i] = {symbols[i], i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1, {}};
    }
    const auto look_up = [&](std::uint32_t i) {
      Node& node = nodes_[i];
      node.merge = policy.Find(node.symbol, nodes_[node.next].symbol);
      if (node.merge.rank == Merge::kNone) return;
      heap_.push_back(static_cast<std::uint64_t>(node.merge.rank) << 32 | i);
    };
    const auto later = std::greater<std::uint64_t>();
    for (std::uint32_t i = 0; i + 1 < n; ++i) look_up(i);
    std::make_heap(heap_.begin(), heap_.end(), later);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const std::uint64_t top = heap_.back();
      heap_.pop_back();
      const auto at = static_cast<std::uint32_t>(top);
      Node& node = nodes_[at];
      // An entry is stale when a neighbour was joined since: then the pair here has another rank.
      // With the same rank it may be another pair, and that pair's turn is now all the same.
      if (node.merge.rank != static_cast<std::uint32_t>(top >> 32)) continue;
      Node& gone = nodes_[node.next];
      node.symbol = policy.Join(node.symbol, gone.symbol, node.merge.id);
      node.next = gone.next;
      node.merge = {};
      gone.merge = {};
      if (node.next != kEnd) nodes_[node.next].previous = at;
      const std::size_t before = heap_.size();
      if (node.previous != kEnd) look_up(node.previous);
      if (heap_.size() > before) std::push_heap(heap_.begin(), heap_.end(), later);
      const std::size_t between = heap_.size();
      if (node.next != kEnd) look_up(at);
      if (heap_.size() > between) std::push_heap(heap_.begin(), heap_.end(), later);
    }
    symbols.clear();
    for (std::uint32_t i = 0; i != kEnd; i = nodes_[i].next) symbols.push_back(nodes_[i].symbol);
  }

  std::vector<Node> nodes_;
  std::vector<std::uint64_t> heap_;  // rank << 32 | node
};

}  // namespace tatara::text
