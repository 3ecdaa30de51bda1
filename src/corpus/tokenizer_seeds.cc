#include "tokenizer_seeds.h"

#include <algorithm>

#include "tatara/base/utf8.h"

namespace tatara::corpus {
namespace {

// Sorts the places that begin with one character by what follows, and reports where it branches.
class Brancher {
 public:
  Brancher(std::span<const std::uint32_t> text, std::uint32_t end_max, std::uint32_t length_max,
           std::vector<Seed>& found)
      : text_(text), end_max_(end_max), length_max_(length_max), found_(found) {}

  // The texts at `places` have their first `length` characters in common, and none of these ends a
  // word.
  void Run(std::span<std::uint32_t> places, std::uint32_t length) {
    for (; places.size() > 1 && length <= length_max_; ++length) {
      Sort(places, length);
      const std::uint32_t first = text_[places.front() + length];
      if (first != text_[places.back() + length]) return Branch(places, length);
      if (first <= end_max_) return;
    }
  }

 private:
  void Branch(std::span<std::uint32_t> places, std::uint32_t length) {
    if (length >= 2) found_.push_back({places.front(), length, places.size()});
    for (std::size_t begin = 0; begin < places.size();) {
      const std::uint32_t character = text_[places[begin] + length];
      std::size_t end = begin + 1;
      while (end < places.size() && text_[places[end] + length] == character) ++end;
      if (character > end_max_) Run(places.subspan(begin, end - begin), length + 1);
      begin = end;
    }
  }

  // By the character after `length`, then by place.
  void Sort(std::span<std::uint32_t> places, std::uint32_t length) {
    keys_.resize(places.size());
    bool sorted = true;
    for (std::size_t i = 0; i < places.size(); ++i) {
      keys_[i] = static_cast<std::uint64_t>(text_[places[i] + length]) << 32 | places[i];
      sorted &= i == 0 || keys_[i - 1] < keys_[i];
    }
    if (sorted) return;
    std::ranges::sort(keys_);
    for (std::size_t i = 0; i < places.size(); ++i) {
      places[i] = static_cast<std::uint32_t>(keys_[i]);
    }
  }

  std::span<const std::uint32_t> text_;
  std::uint32_t end_max_, length_max_;
  std::vector<Seed>& found_;
  std::vector<std::uint64_t> keys_;
};

}  // namespace

std::string WordText::Written(std::span<const std::uint32_t> ranks) const {
  std::string written;
  for (const std::uint32_t rank : ranks) AppendUtf8(written, characters[rank]);
  return written;
}

WordText MakeWordText(const WordCounts& words) {
  WordText made;
  const std::vector<std::uint32_t> order = words.Sorted();
  std::vector<std::uint64_t> n_of(0x110000);
  made.text.reserve(words.text_bytes() + words.size());
  for (const std::uint32_t i : order) {
    made.begin.push_back(static_cast<std::uint32_t>(made.text.size()));
    made.count.push_back(words.count(i));
    for (std::string_view rest = words.text(i); !rest.empty();) {
      const Utf8Sequence character = ReadUtf8(rest);
      made.text.push_back(character.code_point);
      n_of[character.code_point] += words.count(i);
      rest.remove_prefix(character.length);
    }
    made.text.push_back(0);
  }
  made.begin.push_back(static_cast<std::uint32_t>(made.text.size()));
  std::vector<std::uint32_t> rank_of(n_of.size());
  made.characters.push_back(0);
  made.n_of_character.push_back(0);
  for (std::uint32_t c = 0; c < n_of.size(); ++c) {
    if (n_of[c] == 0) continue;
    rank_of[c] = static_cast<std::uint32_t>(made.characters.size());
    made.characters.push_back(c);
    made.n_of_character.push_back(n_of[c]);
  }
  for (std::size_t i = 0; i < made.n_words(); ++i) {
    for (std::uint32_t at = made.begin[i]; at + 1 < made.begin[i + 1]; ++at) {
      made.text[at] = rank_of[made.text[at]];
    }
  }
  return made;
}

std::vector<Seed> FindSeeds(const WordText& words, int length_max, std::size_t n_max,
                            ThreadPool& pool) {
  const std::span<const std::uint32_t> text = words.text;
  const std::size_t n_ranks = words.characters.size();
  const std::uint32_t end_max = n_ranks > 1 && words.characters[1] == 0 ? 1 : 0;
  // Places by their first character.
  std::vector<std::uint32_t> begin(n_ranks + 1);
  for (const std::uint32_t rank : text) ++begin[rank + 1];
  for (std::size_t rank = 1; rank <= n_ranks; ++rank) begin[rank] += begin[rank - 1];
  std::vector<std::uint32_t> places(text.size()), next(begin.begin(), begin.end() - 1);
  for (std::uint32_t at = 0; at < text.size(); ++at) places[next[text[at]]++] = at;

  std::vector<std::vector<Seed>> found(n_ranks);
  pool.For(static_cast<std::int64_t>(n_ranks), [&](std::int64_t item, int) {
    const auto rank = static_cast<std::size_t>(item);
    if (rank <= end_max) return;
    Brancher(text, end_max, static_cast<std::uint32_t>(length_max), found[rank])
        .Run(std::span(places).subspan(begin[rank], begin[rank + 1] - begin[rank]), 1);
  });
  std::vector<Seed> all;
  for (std::vector<Seed>& of_rank : found) {
    all.insert(all.end(), of_rank.begin(), of_rank.end());
    std::vector<Seed>().swap(of_rank);
  }
  const auto before = [&](const Seed& a, const Seed& b) {
    const std::uint64_t score_a = a.n * a.length, score_b = b.n * b.length;
    if (score_a != score_b) return score_a > score_b;
    return std::ranges::lexicographical_compare(text.subspan(b.begin, b.length),
                                                text.subspan(a.begin, a.length));
  };
  if (all.size() > n_max) {
    std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(n_max), before);
    all.resize(n_max);
  }
  std::ranges::sort(all, before);
  return all;
}

}  // namespace tatara::corpus
