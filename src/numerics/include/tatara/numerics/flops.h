// How many floating-point operations products and attention were asked for since the program began:
// each multiply-add of a product's chains and of the keys that a query sees counts as two. What
// padding to tiles adds is not counted. So a count made beforehand can be held against the kernels.
// Thread safety: any thread.
#pragma once

#include <cstdint>

namespace tatara::numerics {

std::uint64_t FlopsDone();
void AddFlops(std::uint64_t flops);

}  // namespace tatara::numerics
