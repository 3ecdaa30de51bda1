// What the tests of gradients against PyTorch share; vectors by tools/make_training_vectors.py.
#pragma once

#include <cstdint>
#include <vector>

namespace tatara::model {

// Of one parameter's gradient.
struct GradientVector {
  const char* name;
  double sum, magnitude, projection;
};

// The generator of tools/make_training_vectors.py, in [-1, 1).
inline std::vector<double> VectorValues(std::int64_t n, std::uint64_t seed) {
  std::vector<double> values(static_cast<std::size_t>(n));
  for (double& v : values) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    v = static_cast<double>(static_cast<std::int32_t>(seed >> 32)) / 2147483648.0;
  }
  return values;
}

}  // namespace tatara::model
