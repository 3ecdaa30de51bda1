// Elementwise work dealt out to threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tatara/base/thread_pool.h"

namespace tatara::learn {

constexpr std::int64_t kPiece = 1 << 16;  // values of an item

// body(first, size) for the pieces of n values.
template <typename F>
void ForPieces(std::int64_t n, ThreadPool& pool, F body) {
  pool.For((n + kPiece - 1) / kPiece, [&](std::int64_t item, int) {
    const std::int64_t first = item * kPiece;
    body(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(kPiece, n - first)));
  });
}

}  // namespace tatara::learn
