// Memory for large arrays on huge pages, where the system has some: arrays that every step of a
// training run goes through miss fewer addresses so. A wish; nothing else depends on it.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tatara {

// `values` becomes empty, with room for n values that are not touched yet.
template <typename T>
void ReserveHugePages(std::vector<T>& values, std::size_t n) {
  constexpr std::uintptr_t kPage = 4096;
  constexpr std::size_t kWorthwhile = std::size_t{8} << 20;
  if (values.capacity() < n) values = {};
  values.clear();
  values.reserve(n);
  const auto first = (reinterpret_cast<std::uintptr_t>(values.data()) + kPage - 1) / kPage * kPage;
  const auto end = reinterpret_cast<std::uintptr_t>(values.data() + n) / kPage * kPage;
  if (end < first + kWorthwhile) return;
  madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

}  // namespace tatara
