// A quick keyed hash for tables in memory: multiply and fold, eight bytes at a time. Neither for
// digests nor for anything that is written down. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace tatara {

inline std::uint64_t MixWords(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Eight bytes at a time; the length is part of the hash, so zero padding of the tail is no
// ambiguity.
inline std::uint64_t HashBytes(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t hash = seed ^ (bytes.size() * 0x9E3779B97F4A7C15u);
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    hash = MixWords(hash ^ word, 0xA0761D6478BD642Fu);
  }
  std::uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, at, left);
  return MixWords(hash ^ tail, 0xE7037ED1A0B428DBu);
}

}  // namespace tatara
