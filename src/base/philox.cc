#include "tatara/base/philox.h"

#include <sys/random.h>

#include <array>
#include <utility>

#include "tatara/base/check.h"

namespace tatara {

std::array<std::uint32_t, 4> Philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = kMultiplier0 * counter[0];
    const std::uint64_t p1 = kMultiplier1 * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::array<std::uint32_t, 4> RandomWords(const RandomKey& key) {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  return Philox4x32(
      {static_cast<std::uint32_t>(key.purpose), key.choice, low(key.position), high(key.position)},
      {low(key.seed), high(key.seed)});
}

double RandomUnit(const RandomKey& key) {
  return static_cast<double>(RandomWords(key)[0] >> 8) * 0x1p-24;
}

std::uint64_t RandomBelow(const RandomKey& key, std::uint64_t n) {
  __extension__ using Wide = unsigned __int128;
  const auto words = RandomWords(key);
  const std::uint64_t draw = std::uint64_t{words[0]} << 32 | words[1];
  return static_cast<std::uint64_t>(static_cast<Wide>(draw) * n >> 64);
}

std::uint64_t FreshSeed() {
  // Some at a time: a call of the kernel for each would be most of a short request's cost, and
  // processors' own random instructions are slower still.
  thread_local std::array<std::uint64_t, 32> seeds;
  thread_local std::size_t n_left = 0;
  for (;;) {
    if (n_left == 0) {
      // Up to 256 bytes come whole, once the system's generator is seeded (getrandom(2)).
      TATARA_CHECK(getrandom(seeds.data(), sizeof seeds, 0) == sizeof seeds);
      n_left = seeds.size();
    }
    const std::uint64_t seed = std::exchange(seeds[--n_left], 0);
    if (seed != 0) return seed;
  }
}

}  // namespace tatara
