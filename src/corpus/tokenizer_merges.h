// The merges of byte pair encoding, learned from counted words.
//
// All words lie in one array, a place for each byte. The first and the last place of a token hold
// its id, places between hold kInside, so that both neighbours of a token are found without links:
// every token has one length. Every pair of ids has the places where it occurred when it was
// queued; a place is looked at again when its pair is merged, and by then it may hold another
// token. So a merge costs what it changes, whatever the lengths of the words.
//
// The order is that of the BpeTrainer of tokenizers 0.23: counts change only by the neighbours of
// what was merged (a pair's own count stays when it is merged), an entry of the queue with an old
// count goes back with the new one, and a token that is made a second way keeps its id, after which
// a pair may be merged again; the later place in the order is then the one that counts.
// Thread safety: one object, one thread.
#pragma once

#include <cstdint>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/corpus/tokenizer_training.h"
#include "tokenizer_words.h"

namespace tatara::corpus {

// How often each pair of ids occurs, open addressing.
class PairCounts {
 public:
  // Makes room for `n` pairs more: until then no reference moves.
  void Reserve(std::size_t n);
  std::int64_t& operator[](std::uint64_t pair);

 private:
  struct Slot {
    std::uint64_t pair = kNone;
    std::int64_t count = 0;
  };
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};  // ids are below 2^31
  std::vector<Slot> slots_;
  std::size_t n_ = 0;
};

class MergeTrainer {
 public:
  // `tokens`: those there are, special ones first; id_of_byte: the token of each byte. A merge that
  // would write one of the first `n_special` tokens is left out.
  MergeTrainer(const WordCounts& words, std::vector<std::string> tokens,
               const std::vector<std::int32_t>& id_of_byte, std::size_t n_special);

  // Until there are `options.vocabulary` tokens, or no pair is frequent enough.
  Result<> Run(const BpeTraining& options);

  const std::vector<std::string>& tokens() const { return tokens_; }
  // Pairs of ids in order, each once.
  std::vector<std::pair<std::int32_t, std::int32_t>> Merges() const;

 private:
  static constexpr std::int32_t kBoundary = -1, kInside = -2;

  struct Entry {
    std::int64_t count;
    std::uint64_t pair;   // left << 32 | right
    std::uint64_t begin;  // its places in places_
    std::uint32_t n, serial;
    // What comes later in the queue.
    bool operator<(const Entry& other) const {
      if (count != other.count) return count < other.count;
      if (pair != other.pair) return pair > other.pair;
      return serial > other.serial;
    }
  };
  // What a merge did to one pair.
  struct Touched {
    std::uint64_t pair;
    std::int64_t* count;
    std::uint32_t n = 0;     // places
    std::uint64_t next = 0;  // where the next one goes
  };
  // Remembers what belongs to a neighbour's id for the length of one merge.
  class ByNeighbour {
   public:
    std::uint32_t& operator()(std::int32_t id, std::uint32_t merge, std::uint32_t otherwise);

   private:
    struct Seen {
      std::uint32_t merge = 0, value = 0;
    };
    std::vector<Seen> seen_;
  };

  static std::uint64_t PairOf(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  void LayOut(const WordCounts& words, const std::vector<std::int32_t>& id_of_byte);
  void CountPairs();
  // The id of the joined token, made where it is new; -1 where it may not be: too long, or special.
  std::int32_t IdOfJoined(std::int32_t left, std::int32_t right);
  void Merge(const Entry& entry, std::int32_t id);
  void MergeAt(std::uint32_t place, std::int32_t left, std::int32_t right, std::int32_t id);
  std::uint32_t Touch(std::uint64_t pair);
  void Count(std::uint32_t touched, std::uint32_t place, std::int64_t weight);
  void QueueTouched();

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int32_t> id_of_;
  std::size_t n_special_;
  std::vector<std::uint32_t> length_;   // of each token, in bytes
  std::vector<std::int32_t> symbols_;   // kBoundary before, between and behind the words
  std::vector<std::uint32_t> word_at_;  // index of the word, at each place
  std::vector<std::int64_t> weight_;    // of each word
  PairCounts counts_;
  std::vector<std::uint32_t> places_;  // of all entries, one after the other
  std::priority_queue<Entry> queue_;
  std::uint32_t n_entries_ = 0;
  std::vector<std::pair<std::int32_t, std::int32_t>> merges_;
  // Of the merge that is being done.
  std::uint32_t merge_ = 0;
  std::vector<Touched> touched_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> made_;  // touched pair, place
  ByNeighbour before_lost_, before_made_, behind_lost_, behind_made_;
};

}  // namespace tatara::corpus
