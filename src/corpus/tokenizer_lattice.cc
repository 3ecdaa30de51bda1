#include "tokenizer_lattice.h"

#include <algorithm>
#include <bit>

#include "tatara/numerics/functions.h"

namespace tatara::corpus {
namespace {

constexpr std::size_t kStretch = 2048;  // places whose edges are kept at a time
constexpr double kSmall = 0x1p-256, kScale = 0x1p256;

// `value` without the powers of kScale that were taken out of it.
double Unscaled(double value, int power) {
  for (; power > 0; --power) value *= kSmall;
  for (; power < 0; ++power) value *= kScale;
  return value;
}

}  // namespace

PieceSet::PieceSet(std::span<const std::uint32_t> text, std::span<const UnigramPiece> pieces,
                   std::uint32_t n_characters)
    : first_size_(n_characters + 1), first_(n_characters + 1) {
  double lowest = pieces.size() > 1 ? pieces[1].score : 0;
  score_.resize(pieces.size());
  for (std::size_t id = 1; id < pieces.size(); ++id) {
    score_[id] = pieces[id].score;
    longest_ = std::max(longest_, pieces[id].length);
    lowest = std::min(lowest, score_[id]);
  }
  score_[0] = lowest - kUnknownPenalty;
  probability_.resize(pieces.size());
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    probability_[id] = numerics::ExpF64(score_[id]);
  }
  std::size_t n_slots = std::bit_ceil(std::max<std::size_t>(pieces.size() * 4, 64));
  do {
    std::ranges::fill(first_, Node{});
    slots_.assign(n_slots, Slot{});
    shift_ = 64 - std::countr_zero(n_slots);
    n_slots *= 2;
  } while (!Fill(text, pieces));
}

// False where the table would be more than half full.
bool PieceSet::Fill(std::span<const std::uint32_t> text, std::span<const UnigramPiece> pieces) {
  std::size_t n_nodes = 0;
  for (std::size_t id = 1; id < pieces.size(); ++id) {
    const std::span<const std::uint32_t> piece = text.subspan(pieces[id].begin, pieces[id].length);
    Node* node = &first_[piece[0]];
    std::uint32_t parent = piece[0];
    for (std::size_t i = 1; i < piece.size(); ++i) {
      node->has_children = true;
      const std::size_t at = Find(parent, piece[i]);
      if (slots_[at].parent == kNone) {
        if (++n_nodes * 2 > slots_.size()) return false;
        slots_[at].parent = parent;
        slots_[at].character = piece[i];
      }
      node = &slots_[at].node;
      parent = first_size_ + static_cast<std::uint32_t>(at);
    }
    node->piece = static_cast<std::int32_t>(id);
  }
  return true;
}

void Lattice::Collect(const PieceSet& pieces, std::span<const std::uint32_t> word,
                      std::size_t begin, std::size_t end) {
  edges_.clear();
  edge_begin_.clear();
  for (std::size_t place = begin; place < end; ++place) {
    edge_begin_.push_back(static_cast<std::uint32_t>(edges_.size()));
    if (pieces.Single(word[place]) < 0) edges_.push_back({1, 0});
    pieces.ForEach(word.subspan(place),
                   [&](std::uint32_t length, std::uint32_t id) { edges_.push_back({length, id}); });
  }
  edge_begin_.push_back(static_cast<std::uint32_t>(edges_.size()));
}

void Lattice::AddExpected(const PieceSet& pieces, std::span<const std::uint32_t> word, double count,
                          std::span<double> expected) {
  const std::size_t n = word.size();
  forward_.assign(n + 1, 0.0);
  backward_.resize(n + 1);
  scale_.resize(n + 1);
  forward_[0] = 1;
  int scale = 0;
  for (std::size_t begin = 0; begin < n; begin += kStretch) {
    const std::size_t end = std::min(n, begin + kStretch);
    Collect(pieces, word, begin, end);
    for (std::size_t place = begin; place < end; ++place) {
      if (forward_[place] < kSmall) {
        ++scale;
        // Nothing beyond the longest piece has been reached.
        const std::size_t last = std::min(n, place + pieces.longest());
        for (std::size_t i = place; i <= last; ++i) forward_[i] *= kScale;
      }
      scale_[place] = scale;
      for (const Edge& edge : EdgesAt(place - begin)) {
        forward_[place + edge.length] += forward_[place] * pieces.probability(edge.id);
      }
    }
  }
  const double share = count / forward_[n];
  const int whole_scale = scale;
  scale = 0;
  backward_[n] = 1;
  for (std::size_t begin = (n - 1) / kStretch * kStretch;; begin -= kStretch) {
    const std::size_t end = std::min(n, begin + kStretch);
    if (n > kStretch) Collect(pieces, word, begin, end);
    for (std::size_t place = end; place-- > begin;) {
      const double before = Unscaled(forward_[place] * share, scale_[place] + scale - whole_scale);
      double sum = 0;
      for (const Edge& edge : EdgesAt(place - begin)) {
        const double behind = pieces.probability(edge.id) * backward_[place + edge.length];
        sum += behind;
        expected[edge.id] += before * behind;
      }
      backward_[place] = sum;
      if (sum < kSmall) {
        ++scale;
        const std::size_t last = std::min(n, place + pieces.longest());
        for (std::size_t i = place; i <= last; ++i) backward_[i] *= kScale;
      }
    }
    if (begin == 0) break;
  }
}

const std::vector<std::uint32_t>& Lattice::Best(const PieceSet& pieces,
                                                std::span<const std::uint32_t> word,
                                                std::int64_t left_out) {
  steps_.assign(word.size() + 1, Step{});
  for (std::size_t place = 0; place < word.size(); ++place) {
    const double before = steps_[place].score;
    const auto offer = [&](std::uint32_t length, std::uint32_t id) {
      Step& step = steps_[place + length];
      const double score = before + pieces.score(id);
      if (step.reached && !(score > step.score)) return;
      step = {score, static_cast<std::uint32_t>(place), id, true};
    };
    const std::int32_t single = pieces.Single(word[place]);
    if (single < 0) offer(1, 0);
    pieces.ForEach(word.subspan(place), [&](std::uint32_t length, std::uint32_t id) {
      if (id != left_out) offer(length, id);
    });
  }
  path_.clear();
  best_score_ = steps_[word.size()].score;
  for (std::size_t end = word.size(); end > 0; end = steps_[end].begin) {
    path_.push_back(steps_[end].id);
  }
  return path_;
}

}  // namespace tatara::corpus
