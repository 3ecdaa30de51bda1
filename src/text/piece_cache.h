// Ids of pieces seen before. Natural text repeats its words, and looking one up is several times
// cheaper than merging it. Fixed size, one line of 64 bytes per piece, a newer piece replaces the
// one in its slot. Thread safety: one object, one thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "hash_tables.h"

namespace tatara::text {

class PieceCache {
 public:
  static constexpr std::size_t kBytesMax = 22;  // of a piece; longer ones seldom repeat
  static constexpr std::size_t kIdsMax = 10;
  static constexpr std::size_t kSlots = 1 << 15;  // 2 MiB

  PieceCache() : slots_(kSlots) {}

  // Empty where the piece is not known.
  std::span<const std::int32_t> Find(std::string_view piece) const {
    const Slot& slot = slots_[Index(piece)];
    if (slot.n_bytes != piece.size() ||
        std::memcmp(slot.bytes.data(), piece.data(), piece.size()) != 0) {
      return {};
    }
    return {slot.ids.data(), slot.n_ids};
  }

  void Put(std::string_view piece, std::span<const std::int32_t> ids) {
    if (piece.size() > kBytesMax || ids.size() > kIdsMax || ids.empty()) return;
    Slot& slot = slots_[Index(piece)];
    slot.n_bytes = static_cast<std::uint8_t>(piece.size());
    slot.n_ids = static_cast<std::uint8_t>(ids.size());
    std::memcpy(slot.bytes.data(), piece.data(), piece.size());
    std::memcpy(slot.ids.data(), ids.data(), ids.size_bytes());
  }

 private:
  struct alignas(64) Slot {
    std::array<std::int32_t, kIdsMax> ids;
    std::array<char, kBytesMax> bytes;
    std::uint8_t n_bytes = 0;  // 0: empty slot; a piece is never empty
    std::uint8_t n_ids = 0;
  };
  static_assert(sizeof(Slot) == 64);

  static std::size_t Index(std::string_view piece) { return HashBytes(piece, 0) & (kSlots - 1); }
  std::vector<Slot> slots_;
};

}  // namespace tatara::text
