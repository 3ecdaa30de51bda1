#include "tatara/corpus/permutation.h"

#include "tatara/base/check.h"
#include "tatara/base/philox.h"

namespace tatara::corpus {
namespace {

constexpr int kRounds = 8;

struct Halves {
  std::uint64_t seed, epoch;
  int bits;
  std::uint64_t Forward(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    std::uint64_t left = value >> bits, right = value & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const RandomKey key{.seed = seed,
                          .purpose = RandomPurpose::kPermutation,
                          .choice = round | static_cast<std::uint32_t>(epoch >> 32) << 3,
                          .position = epoch << 32 | right};
      const std::uint64_t mixed = (left ^ RandomWords(key)[0]) & mask;
      left = right;
      right = mixed;
    }
    return left << bits | right;
  }
};

}  // namespace

std::uint64_t PermutedPlace(std::uint64_t seed, std::uint64_t epoch, std::uint64_t n,
                            std::uint64_t i) {
  TATARA_CHECK(i < n && n <= std::uint64_t{1} << 62 && epoch < std::uint64_t{1} << 60);
  if (n == 1) return 0;
  Halves halves{.seed = seed, .epoch = epoch, .bits = 1};
  while ((std::uint64_t{1} << (2 * halves.bits)) < n) ++halves.bits;
  do {
    i = halves.Forward(i);
  } while (i >= n);
  return i;
}

}  // namespace tatara::corpus
