// Small things of the vector kernels: forced inlining and unrolling. GCC 12 keeps a tile's
// accumulators in registers only where every index is a constant. Included by per-ISA files:
// internal linkage only.
#pragma once

#include <cstdint>

#define TATARA_INLINE [[gnu::always_inline]] inline
#define TATARA_LAMBDA __attribute__((always_inline))

namespace tatara::numerics {
namespace {

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
  constexpr operator int() const { return kValue; }  // NOLINT: implicit on purpose
};

// f(Constant<0>()), .., f(Constant<kCount - 1>()).
template <int kCount, typename F>
TATARA_INLINE void Unroll(F f) {
  if constexpr (kCount > 0) {
    Unroll<kCount - 1>(f);
    f(Constant<kCount - 1>());
  }
}

TATARA_INLINE std::int32_t LoadWord(const void* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return word;
}

}  // namespace
}  // namespace tatara::numerics
