#include "tatara/numerics/digest.h"

#include <array>
#include <bit>
#include <cstdint>

namespace tatara::numerics {

void UpdateWithF32(Sha256& digest, std::span<const float> values) {
  constexpr std::size_t kBlock = 1024;
  std::array<std::uint32_t, kBlock> words;
  for (std::size_t start = 0; start < values.size(); start += kBlock) {
    const auto block = values.subspan(start, std::min(kBlock, values.size() - start));
    for (std::size_t i = 0; i < block.size(); ++i) {
      const float value = block[i];
      words[i] = value == value ? std::bit_cast<std::uint32_t>(value) : 0x7fc00000u;
    }
    digest.Update(std::as_bytes(std::span(words).first(block.size())));
  }
}

std::string F32Sha256(std::span<const float> values) {
  Sha256 digest;
  UpdateWithF32(digest, values);
  return ToHex(digest.Finish());
}

}  // namespace tatara::numerics
