// An operation on every element of a row over `Lanes`. A ragged end is read under a mask as +0.
// Included by the per-ISA files after their lanes.h; internal linkage.
#pragma once

#include <cstdint>

namespace tatara::numerics {
namespace {

inline Mask FirstLanes(std::int64_t n) {
  return LanesBetween(0, static_cast<int>(n));
}

// For the f of MapRow: called from two places, and a call would pass lanes through memory.
#define TATARA_INLINE_LAMBDA __attribute__((always_inline))

// y[i] = f(x[i]), y[i] = f(a[i], b[i]).
template <typename F>
inline void MapRow(const float* x, std::int64_t n, float* y, F f) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) Store(y + i, f(Load(x + i)));
  if (i < n) {
    const Mask rest = FirstLanes(n - i);
    StoreMasked(y + i, rest, f(LoadMasked(x + i, rest)));
  }
}
template <typename F>
inline void MapRow(const float* a, const float* b, std::int64_t n, float* y, F f) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) Store(y + i, f(Load(a + i), Load(b + i)));
  if (i < n) {
    const Mask rest = FirstLanes(n - i);
    StoreMasked(y + i, rest, f(LoadMasked(a + i, rest), LoadMasked(b + i, rest)));
  }
}

}  // namespace
}  // namespace tatara::numerics
