// The program's version and the number of the numerics contract. Both are in every receipt.
#pragma once

namespace tatara {
inline constexpr const char* kVersion = "0.1.0";
inline constexpr int kNumericsContract = 1;
}  // namespace tatara
