#include "tatara/numerics/flops.h"

#include <atomic>

namespace tatara::numerics {
namespace {
std::atomic<std::uint64_t> done{0};
}

std::uint64_t FlopsDone() {
  return done.load(std::memory_order_relaxed);
}

void AddFlops(std::uint64_t flops) {
  done.fetch_add(flops, std::memory_order_relaxed);
}

}  // namespace tatara::numerics
