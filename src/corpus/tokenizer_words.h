// The distinct pieces of a corpus and how often each occurs: all that training a tokenizer keeps of
// its texts. Thread safety: one WordCounts, one thread; CountWords uses the pool.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/corpus/text_stream.h"
#include "tatara/corpus/tokenizer_training.h"
#include "tatara/text/text_splitter.h"

namespace tatara::corpus {

class WordCounts {
 public:
  // Seeded, so that a text can not be written to collide; no result depends on the seed.
  explicit WordCounts(std::uint64_t seed);

  void Add(std::string_view word, std::uint64_t count = 1);
  void Add(const WordCounts& other);

  std::size_t size() const { return words_.size(); }
  std::string_view text(std::size_t i) const {
    return std::string_view(bytes_.data() + words_[i].begin, words_[i].length);
  }
  std::uint64_t count(std::size_t i) const { return words_[i].count; }
  std::uint64_t text_bytes() const { return bytes_.size(); }
  // What this object takes.
  std::uint64_t bytes() const;

  // Indices of the words, ascending by their bytes.
  std::vector<std::uint32_t> Sorted() const;

 private:
  struct Word {
    std::uint64_t begin, hash, count;
    std::uint32_t length;
  };
  struct Slot {
    std::uint32_t tag = 0, index = kEmpty;
  };
  static constexpr std::uint32_t kEmpty = ~std::uint32_t{0};

  void Grow();

  std::uint64_t seed_;
  std::vector<char> bytes_;
  std::vector<Word> words_;
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

// All pieces of all texts. The result is the same set for any number of threads; the order of the
// words is not. Refuses more than `options.memory_bytes_max`.
Result<WordCounts> CountWords(TextStream& texts, const text::TextSplitter& splitter,
                              const TokenizerTraining& options);

// The words cut at all characters but the `n_max` most frequent ones, which are the lower ones of
// equally frequent ones; U+2581 is always among them where it occurs. `words` are valid UTF-8.
WordCounts WithinAlphabet(const WordCounts& words, std::size_t n_max);

}  // namespace tatara::corpus
