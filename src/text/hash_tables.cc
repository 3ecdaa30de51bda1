#include "hash_tables.h"

namespace tatara::text {
namespace {

// At most 5/8 full: some probes shorter than at 3/4, half the memory of 5/16.
std::size_t SlotsFor(std::size_t n) {
  return std::bit_ceil(n + n / 2 + n / 8 + 2);
}

}  // namespace

void TextTable::Reset(std::size_t n_texts_max, std::uint64_t seed) {
  seed_ = seed;
  slots_.assign(SlotsFor(n_texts_max), Slot{});
  mask_ = slots_.size() - 1;
}

std::int32_t TextTable::Add(std::string_view text, std::int32_t id) {
  for (std::size_t at = HashBytes(text, seed_);; ++at) {
    Slot& slot = slots_[at & mask_];
    if (slot.id < 0) {
      slot = {text.data(), static_cast<std::uint32_t>(text.size()), id};
      return -1;
    }
    if (std::string_view(slot.data, slot.length) == text) return slot.id;
  }
}

void PairTable::Reset(std::size_t n_pairs_max, std::uint64_t seed) {
  seed_ = seed;
  filter_.assign(kFilterBits / 64, 0);
  slots_.assign(SlotsFor(n_pairs_max), Slot{});
  mask_ = slots_.size() - 1;
}

bool PairTable::Add(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t pair = PairOf(left, right);
  const std::size_t start = Start(pair);
  for (std::size_t at = start;; ++at) {
    Slot& slot = slots_[at & mask_];
    if (slot.pair == pair) return false;
    if (slot.pair == ~std::uint64_t{0}) {
      slot = {pair, merge};
      filter_[(start >> 44) / 64] |= std::uint64_t{1} << (start >> 44) % 64;
      return true;
    }
  }
}

}  // namespace tatara::text
