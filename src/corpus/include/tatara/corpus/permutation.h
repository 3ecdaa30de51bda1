// The order of an epoch: a permutation of 0 .. n - 1 that is computed place by place, so that place
// i of epoch e is the same for ever and nothing is shuffled or stored.
//
// A Feistel network of eight rounds over the least domain 2^(2b) that holds n, its round function
// Philox (base/philox.h); what falls outside n goes through again until it falls inside
// (Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section 3, cycle walking).
// Thread safety: pure function.
#pragma once

#include <cstdint>

namespace tatara::corpus {

// i is below n; n is at most 2^62, the epoch below 2^60.
std::uint64_t PermutedPlace(std::uint64_t seed, std::uint64_t epoch, std::uint64_t n,
                            std::uint64_t i);

}  // namespace tatara::corpus
