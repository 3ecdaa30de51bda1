// The ways to write words as pieces, for training a unigram model: sums over all of them, and the
// best of them.
//
// Characters are their ranks among those that occur, 1 and up; all words lie in one array with a 0
// behind each. A character that is no piece by itself may always be the unknown piece, number 0, so
// that every word can be written. Thread safety: PieceSet immutable once made; one Lattice, one
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tatara::corpus {

// A substring of the words' array, and its score: the logarithm of its probability.
struct UnigramPiece {
  std::uint32_t begin = 0;
  std::uint32_t length = 0;  // 0: the unknown piece
  double score = 0;
};

// Pieces by their text. A node is a text that some piece begins with; children are found by hashing
// the node and a character.
class PieceSet {
 public:
  static constexpr double kUnknownPenalty = 10;  // below the lowest score

  PieceSet(std::span<const std::uint32_t> text, std::span<const UnigramPiece> pieces,
           std::uint32_t n_characters);

  std::size_t size() const { return score_.size(); }
  double score(std::size_t id) const { return score_[id]; }  // of 0: of an unknown character
  double probability(std::size_t id) const { return probability_[id]; }
  std::uint32_t longest() const { return longest_; }  // characters
  // The piece of one character, or -1.
  std::int32_t Single(std::uint32_t character) const { return first_[character].piece; }

  // Calls visit(length, id) for every piece that `word` begins with, shortest first.
  template <typename Visit>
  void ForEach(std::span<const std::uint32_t> word, Visit visit) const {
    const Node* node = &first_[word[0]];
    std::uint32_t parent = word[0];
    for (std::uint32_t length = 1;; ++length) {
      if (node->piece >= 0) visit(length, static_cast<std::uint32_t>(node->piece));
      if (!node->has_children || length == word.size()) return;
      const std::size_t at = Find(parent, word[length]);
      if (slots_[at].parent == kNone) return;
      node = &slots_[at].node;
      parent = first_size_ + static_cast<std::uint32_t>(at);
    }
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Node {
    std::int32_t piece = -1;
    bool has_children = false;
  };
  struct Slot {
    std::uint32_t parent = kNone, character = 0;
    Node node;
  };
  // The slot of a child, or the empty one where it would be.
  std::size_t Find(std::uint32_t parent, std::uint32_t character) const {
    const std::uint64_t key = static_cast<std::uint64_t>(parent) << 32 | character;
    std::size_t at = (key * 0x9E3779B97F4A7C15u) >> shift_;
    while (slots_[at].parent != kNone &&
           (slots_[at].parent != parent || slots_[at].character != character)) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }
  bool Fill(std::span<const std::uint32_t> text, std::span<const UnigramPiece> pieces);

  std::vector<double> score_, probability_;
  std::uint32_t longest_ = 1;
  std::uint32_t first_size_;
  std::vector<Node> first_;  // by character
  std::vector<Slot> slots_;
  int shift_ = 0;
};

// Working memory for one thread. Sums are of probabilities, not of logarithms: where they become
// small, powers of two are taken out of them, which changes no bit.
class Lattice {
 public:
  // Adds to `expected` how often each piece is in the word, over all ways to write it by their
  // probability, `count` times.
  void AddExpected(const PieceSet& pieces, std::span<const std::uint32_t> word, double count,
                   std::span<double> expected);
  // The pieces of the best way, last first; of equal ones the one whose last piece is longest.
  // `left_out`: a piece that may not be used; -1 for none. Its score is left in best_score().
  const std::vector<std::uint32_t>& Best(const PieceSet& pieces,
                                         std::span<const std::uint32_t> word,
                                         std::int64_t left_out = -1);
  double best_score() const { return best_score_; }

 private:
  struct Edge {
    std::uint32_t length, id;
  };
  struct Step {
    double score;
    std::uint32_t begin, id;
    bool reached = false;
  };
  void Collect(const PieceSet& pieces, std::span<const std::uint32_t> word, std::size_t begin,
               std::size_t end);
  std::span<const Edge> EdgesAt(std::size_t place) const {
    return std::span(edges_).subspan(edge_begin_[place],
                                     edge_begin_[place + 1] - edge_begin_[place]);
  }

  std::vector<double> forward_, backward_;
  std::vector<std::int32_t> scale_;  // of forward_: powers of kScale taken out
  std::vector<Edge> edges_;          // of the places of one stretch of the word
  std::vector<std::uint32_t> edge_begin_;
  std::vector<Step> steps_;
  std::vector<std::uint32_t> path_;
  double best_score_ = 0;
};

}  // namespace tatara::corpus
