// The codebooks of the IQ types: fixed tables of points, part of the formats' definition (ggml). A
// file stores an index into one of them for each eight or four values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tatara::numerics {

#include "codebooks.inc"

// The number behind each value of an entry.
constexpr std::int8_t kLevelsIq2[4] = {8, 25, 43, 0};
constexpr std::int8_t kLevelsIq3Xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::int8_t kLevelsIq3S[8] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr std::int8_t kLevelsIq1[4] = {-1, 0, 1, 0};

// Entries spelt out, one byte a value.
template <int kValues, std::size_t kEntries, std::size_t kLevels>
constexpr auto SpellOut(const std::uint16_t (&grid)[kEntries],
                        const std::int8_t (&levels)[kLevels]) {
  constexpr int kBits = 16 / kValues;
  std::array<std::array<std::int8_t, kValues>, kEntries> out{};
  for (std::size_t e = 0; e < kEntries; ++e) {
    for (int i = 0; i < kValues; ++i) {
      out[e][static_cast<std::size_t>(i)] = levels[grid[e] >> (kBits * i) & ((1 << kBits) - 1)];
    }
  }
  return out;
}
inline constexpr auto kPointsIq2Xxs = SpellOut<8>(kGridIq2Xxs, kLevelsIq2);
inline constexpr auto kPointsIq2Xs = SpellOut<8>(kGridIq2Xs, kLevelsIq2);
inline constexpr auto kPointsIq2S = SpellOut<8>(kGridIq2S, kLevelsIq2);
inline constexpr auto kPointsIq3Xxs = SpellOut<4>(kGridIq3Xxs, kLevelsIq3Xxs);
inline constexpr auto kPointsIq3S = SpellOut<4>(kGridIq3S, kLevelsIq3S);
inline constexpr auto kPointsIq1 = SpellOut<8>(kGridIq1, kLevelsIq1);

// The sixteen levels of IQ4_NL and IQ4_XS, and twice those of an e2m1 number (OCP Microscaling
// Formats 1.0, 5.3.3), which is how MXFP4 and NVFP4 count.
constexpr std::int8_t kLevelsIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::int8_t kLevelsE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace tatara::numerics
