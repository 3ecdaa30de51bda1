// The processes that share one run. Each holds all weights, computes a part of the virtual shards,
// and exchanges whole gradients, which every process adds in the tree's order by itself: nothing
// but bytes is left to whoever carries them.
#pragma once

#include <cstddef>
#include <span>

#include "tatara/base/error.h"

namespace tatara::learn {

class Workers {
 public:
  virtual ~Workers() = default;
  virtual int count() const = 0;  // a power of two
  virtual int rank() const = 0;   // 0 writes the run's folder
  // Sends `mine` to the worker `other` and receives as many bytes, while that one does the same.
  // Refused where `other` is gone.
  virtual Result<> Exchange(int other, std::span<const std::byte> mine,
                            std::span<std::byte> theirs) = 0;
};

}  // namespace tatara::learn
