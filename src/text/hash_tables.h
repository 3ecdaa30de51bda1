// Two open-addressing tables that a tokenizer reads in its inner loops: token text to id, and a
// pair of ids to the merge that joins them. Seeded at random, so that a vocabulary can not be
// written to collide; no result depends on the seed. Thread safety: immutable after filling;
// reading from any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "tatara/base/hash.h"

namespace tatara::text {

// Texts are borrowed: they must outlive the table.
class TextTable {
 public:
  void Reset(std::size_t n_texts_max, std::uint64_t seed);
  // The id of an equal text that is in the table already, or -1 after adding this one.
  std::int32_t Add(std::string_view text, std::int32_t id);
  std::int32_t Find(std::string_view text) const;  // -1 where absent

 private:
  struct Slot {
    const char* data = nullptr;
    std::uint32_t length = 0;
    std::int32_t id = -1;
  };
  std::uint64_t seed_ = 0;
  std::size_t mask_ = 0;
  std::vector<Slot> slots_;
};

inline std::int32_t TextTable::Find(std::string_view text) const {
  for (std::size_t at = HashBytes(text, seed_);; ++at) {
    const Slot& slot = slots_[at & mask_];
    if (slot.id < 0) return -1;
    if (slot.length == text.size() && std::memcmp(slot.data, text.data(), text.size()) == 0) {
      return slot.id;
    }
  }
}

// A merge: of all that apply the one with the lowest rank goes first, leftmost among equals.
struct Merge {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t rank = kNone;
  std::int32_t id = -1;  // what the two become
};

class PairTable {
 public:
  void Reset(std::size_t n_pairs_max, std::uint64_t seed);
  bool Add(std::int32_t left, std::int32_t right,
           Merge merge);  // false where the pair is there already
  Merge Find(std::int32_t left, std::int32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = ~std::uint64_t{0};  // no pair of ids: ids are not negative
    Merge merge;
  };
  static std::uint64_t PairOf(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t Start(std::uint64_t pair) const {
    return MixWords(pair ^ seed_, 0xA0761D6478BD642Fu);
  }
  std::uint64_t seed_ = 0;
  static constexpr std::size_t kFilterBits = std::size_t{1} << 20;
  std::size_t mask_ = 0;
  std::vector<Slot> slots_;
  // A bit per hash, set where some pair has it. Most look-ups find nothing, and this answers them
  // from 128 KiB that stay in a near cache, where the slots do not.
  std::vector<std::uint64_t> filter_;
};

inline Merge PairTable::Find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = PairOf(left, right);
  const std::size_t start = Start(pair);
  if ((filter_[(start >> 44) / 64] >> (start >> 44) % 64 & 1) == 0) return {};
  for (std::size_t at = start;; ++at) {
    const Slot& slot = slots_[at & mask_];
    if (slot.pair == pair) return slot.merge;
    if (slot.pair == ~std::uint64_t{0}) return {};
  }
}

}  // namespace tatara::text
