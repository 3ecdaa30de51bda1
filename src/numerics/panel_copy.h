// Copies of rows of a matrix in the order in which a tile reads them: panels of `width` rows, each
// inner step's values together, +0 where a panel's last rows do not exist. Included by the per-ISA
// files after kCopyLanes is defined: values that a register holds, a power of two. Moves values
// only. Internal linkage.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace tatara::numerics {
namespace {

using CopyVector [[gnu::vector_size(kCopyLanes * sizeof(float))]] = float;

inline CopyVector LoadCopy(const float* p) {
  CopyVector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// a[0], b[0], a[1], b[1] ... from the first halves, or from the second ones.
template <int kFirst, int... kI>
[[gnu::always_inline]] inline CopyVector Interleave(CopyVector a, CopyVector b,
                                                    std::integer_sequence<int, kI...>) {
  return __builtin_shufflevector(a, b, (kFirst + kI / 2 + (kI % 2) * kCopyLanes)...);
}

// The rows become columns: interleaving row i with row i + n / 2, log2(n) times over.
[[gnu::always_inline]] inline void TransposeSquare(CopyVector (&rows)[kCopyLanes]) {
  constexpr std::make_integer_sequence<int, kCopyLanes> kAll;
#pragma GCC unroll 4
  for (int n = 1; n < kCopyLanes; n *= 2) {
    CopyVector next[kCopyLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kCopyLanes / 2; ++i) {
      next[2 * i] = Interleave<0>(rows[i], rows[i + kCopyLanes / 2], kAll);
      next[2 * i + 1] = Interleave<kCopyLanes / 2>(rows[i], rows[i + kCopyLanes / 2], kAll);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kCopyLanes; ++i) rows[i] = next[i];
  }
}

// Inner steps k .. k + kCopyLanes - 1 of up to kCopyLanes rows. A store may reach into the next
// step's values, which are written after it; `n_stored` of the last step's.
template <bool kAllRows>
[[gnu::always_inline]] inline void CopySquare(const float* from, std::int64_t stride,
                                              std::int64_t n_there, std::int64_t width,
                                              std::int64_t n_stored, bool is_last, float* to) {
  CopyVector rows[kCopyLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kCopyLanes; ++i) {
    rows[i] = kAllRows || i < n_there ? LoadCopy(from + i * stride) : CopyVector{};
    // What lies below is copied next: ahead of its use.
    __builtin_prefetch(from + (i + kCopyLanes) * stride, 0, 2);
  }
  TransposeSquare(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kCopyLanes - 1; ++i) std::memcpy(to + i * width, &rows[i], sizeof rows[i]);
  std::memcpy(to + (kCopyLanes - 1) * width, &rows[kCopyLanes - 1],
              is_last ? static_cast<std::size_t>(n_stored) * sizeof(float) : sizeof rows[0]);
}

// Where the inner steps of a row lie together; one panel.
void CopyPanelOfRows(const float* data, std::int64_t stride, std::int64_t n_there,
                     std::int64_t n_inner, std::int64_t width, float* out) {
  const bool reaches_one_step = width <= kCopyLanes && 2 * width >= kCopyLanes;
  const std::int64_t n_squares =
      reaches_one_step || width % kCopyLanes == 0 ? n_inner / kCopyLanes * kCopyLanes : 0;
  for (std::int64_t j = 0; n_squares > 0 && j < width; j += kCopyLanes) {
    const std::int64_t n_rows = n_there - j < kCopyLanes ? n_there - j : kCopyLanes;
    const std::int64_t n_stored = width - j < kCopyLanes ? width - j : kCopyLanes;
    for (std::int64_t k = 0; k < n_squares; k += kCopyLanes) {
      const float* const from = data + j * stride + k;
      float* const to = out + k * width + j;
      const bool is_last = k + kCopyLanes == n_inner;
      if (n_rows == kCopyLanes) {
        CopySquare<true>(from, stride, n_rows, width, n_stored, is_last, to);
      } else {
        CopySquare<false>(from, stride, n_rows, width, n_stored, is_last, to);
      }
    }
  }
  for (std::int64_t k = n_squares; k < n_inner; ++k) {
    for (std::int64_t j = 0; j < width; ++j) {
      out[k * width + j] = j < n_there ? data[j * stride + k] : 0.0F;
    }
  }
}

// One inner step of a panel whose rows lie together.
inline void CopyStep(const float* data, std::int64_t n_there, std::int64_t width, float* out) {
  constexpr std::int64_t kFour = 4;
  std::int64_t j = 0;
  if (n_there == width) {
    for (; j + kCopyLanes <= width; j += kCopyLanes) {
      const CopyVector v = LoadCopy(data + j);
      std::memcpy(out + j, &v, sizeof v);
    }
    for (; j + kFour <= width; j += kFour) std::memcpy(out + j, data + j, kFour * sizeof(float));
  }
  for (; j < width; ++j) out[j] = j < n_there ? data[j] : 0.0F;
}

// Panels of rows, one after the other: out[(row / width * n_inner + k) * width + row % width].
void CopyPanels(const float* data, std::int64_t row_stride, std::int64_t column_stride,
                std::int64_t n_rows, std::int64_t n_inner, std::int64_t width, float* out) {
  if (row_stride != 1) {
    for (std::int64_t i = 0; i < n_rows; i += width) {
      const std::int64_t n_there = n_rows - i < width ? n_rows - i : width;
      CopyPanelOfRows(data + i * row_stride, row_stride, n_there, n_inner, width,
                      out + i * n_inner);
    }
    return;
  }
  // All panels of a step together: what lies together in memory is read together, and steps ahead
  // are asked for, which may be pages away.
  constexpr std::int64_t kAhead = 8, kLineFloats = 16;
  for (std::int64_t k = 0; k < n_inner; ++k) {
    for (std::int64_t i = 0; i < n_rows; i += kLineFloats) {
      __builtin_prefetch(data + (k + kAhead) * column_stride + i, 0, 2);
    }
    for (std::int64_t i = 0; i < n_rows; i += width) {
      const std::int64_t n_there = n_rows - i < width ? n_rows - i : width;
      CopyStep(data + k * column_stride + i, n_there, width, out + i * n_inner + k * width);
    }
  }
}

}  // namespace
}  // namespace tatara::numerics
