// Which documents were seen: 128 bits of a digest each, in a table at most half full.
// Memory: 32 bytes a document, or less; while it grows 48. Thread safety: one thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tatara/base/sha256.h"

namespace tatara::corpus {

class DigestSet {
 public:
  explicit DigestSet(std::size_t n_max) : n_max_(n_max), slots_(std::size_t{1} << 10) {}

  enum class Outcome { kNew, kSeen, kFull };
  Outcome Add(const Digest& digest) {
    Key key;
    std::memcpy(key.data(), digest.data(), sizeof key);
    if (key == Key{}) key[1] = 1;  // all zero marks what is free
    std::size_t at = Find(slots_, key);
    if (slots_[at] == key) return Outcome::kSeen;
    if (n_ == n_max_) return Outcome::kFull;
    if (2 * (n_ + 1) > slots_.size()) {
      Grow();
      at = Find(slots_, key);
    }
    slots_[at] = key;
    ++n_;
    return Outcome::kNew;
  }

 private:
  using Key = std::array<std::uint64_t, 2>;
  static std::size_t Find(const std::vector<Key>& slots, const Key& key) {
    const std::size_t mask = slots.size() - 1;
    std::size_t at = key[0] & mask;
    while (slots[at] != Key{} && slots[at] != key) at = (at + 1) & mask;
    return at;
  }
  void Grow() {
    std::vector<Key> larger(slots_.size() * 2);
    for (const Key& key : slots_) {
      if (key != Key{}) larger[Find(larger, key)] = key;
    }
    slots_.swap(larger);
  }

  std::size_t n_max_, n_ = 0;
  std::vector<Key> slots_;
};

}  // namespace tatara::corpus
