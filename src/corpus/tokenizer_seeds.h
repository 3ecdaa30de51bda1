// Substrings of words that may become pieces of a unigram model: those that occur at least twice
// and are followed by more than one character (the end of a word counts as one), which are the
// inner nodes of the words' suffix tree (Kudo 2018, section 3.2; Abouelhoda, Kurtz, Ohlebusch
// 2004). Thread safety: free functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "tokenizer_words.h"

namespace tatara::corpus {

// Words as characters' ranks: 1 and up by code point, 0 behind each word.
struct WordText {
  std::vector<std::uint32_t> text;
  std::vector<std::uint32_t> begin;  // of each word, ascending by the word's bytes; and the end
  std::vector<std::uint64_t> count;  // of each word
  std::vector<char32_t> characters;  // by rank; 0 at rank 0
  std::vector<std::uint64_t> n_of_character;  // how often each occurs, words counted

  std::size_t n_words() const { return count.size(); }
  std::span<const std::uint32_t> word(std::size_t i) const {
    return std::span(text).subspan(begin[i], begin[i + 1] - begin[i] - 1);
  }
  std::string Written(std::span<const std::uint32_t> ranks) const;
};

inline constexpr std::uint64_t kWordTextMax = 0xFFFFFFF0u;

// `words` has fewer than kWordTextMax bytes and words together; all are valid UTF-8.
WordText MakeWordText(const WordCounts& words);

struct Seed {
  std::uint32_t begin, length;
  std::uint64_t n;  // places where it occurs, each word once
};

// Of 2 to `length_max` characters, by n * length descending, then by their characters descending,
// at most `n_max`. U+0000 is in none.
std::vector<Seed> FindSeeds(const WordText& words, int length_max, std::size_t n_max,
                            ThreadPool& pool);

}  // namespace tatara::corpus
