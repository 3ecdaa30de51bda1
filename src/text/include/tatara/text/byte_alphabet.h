// The printable characters by which byte-level vocabularies write bytes: printable Latin-1 stands
// for itself, the other 68 bytes take U+0100 and up in their order (GPT-2, bytes_to_unicode in
// encoder.py). Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>

namespace tatara::text {

constexpr bool StandsForItself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

constexpr char32_t CharacterOfByte(unsigned char byte) {
  if (StandsForItself(byte)) return byte;
  if (byte <= 0x20) return 0x100u + byte;                 // 00..20: the first 33
  if (byte <= 0xA0) return 0x100u + 33 + (byte - 0x7Fu);  // 7F..A0: the next 34
  return 0x100u + 67;                                     // AD
}

constexpr std::optional<unsigned char> ByteOfCharacter(char32_t c) {
  if (c < 0x100) {
    if (StandsForItself(c)) return static_cast<unsigned char>(c);
    return std::nullopt;
  }
  if (c <= 0x120) return static_cast<unsigned char>(c - 0x100);
  if (c <= 0x142) return static_cast<unsigned char>(c - 0x121 + 0x7F);
  if (c == 0x143) return static_cast<unsigned char>(0xAD);
  return std::nullopt;
}

}  // namespace tatara::text
