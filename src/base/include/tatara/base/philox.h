// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, SC'11), the contract's
// only source of chance. The same key and counter give the same four words on every machine.
#pragma once

#include <array>
#include <cstdint>

namespace tatara {

// What a number is drawn for; part of the key, so that two purposes never share numbers.
enum class RandomPurpose : std::uint32_t {
  kSample = 1,
  kTest = 2,
  kDropout = 3,      // position: step and place in the batch
  kInitialise = 4,   // choice: tensor; position: element
  kDataOrder = 5,    // position: index of the example
  kPermutation = 6,  // choice and position: epoch, round, half (corpus/permutation.h)
  kRounding = 7,     // choice: step; position: place in groups (numerics/bf16_storage.h)
};

std::array<std::uint32_t, 4> Philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

struct RandomKey {
  std::uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
  std::uint32_t choice = 0;    // index of the choice (n > 1) or of the stream
  std::uint64_t position = 0;  // index of the generated token, or any counter
};

// Key (seed low, seed high), counter (purpose, choice, position low, position high).
std::array<std::uint32_t, 4> RandomWords(const RandomKey& key);

// In [0, 1): the top 24 bits of the first word times 2^-24; exact in f32 and f64.
double RandomUnit(const RandomKey& key);

// In [0, n), each as likely to within 2^-64 * n: the first two words as a fraction of 2^64, times
// n, rounded down. n is above 0.
std::uint64_t RandomBelow(const RandomKey& key, std::uint64_t n);

// A seed from the system's entropy, for requests that name none. Never 0.
std::uint64_t FreshSeed();

}  // namespace tatara
