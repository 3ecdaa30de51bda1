// For tests: adapters of random numbers, the same each time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tatara/model/adapter.h"
#include "tatara/model/model.h"

namespace tatara::model::test {

class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  float Next() {  // in [-1, 1)
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) / 2147483648.0F;
  }

 private:
  std::uint64_t state_;
};

inline weights::AdapterMatrix RandomMatrix(Numbers& numbers, numerics::DType dtype,
                                           std::int64_t n_rows, std::int64_t n_cols) {
  weights::AdapterMatrix m{dtype, n_rows, n_cols, {}};
  for (std::int64_t i = 0; i < n_rows * n_cols; ++i) {
    const float value = 0.5F * numbers.Next();
    std::byte bytes[4];
    StoreLe(bytes, value);
    if (dtype == numerics::DType::kF16) StoreLe(bytes, numerics::F32ToF16(value));
    if (dtype == numerics::DType::kBF16) StoreLe(bytes, numerics::F32ToBF16(value));
    m.data.insert(m.data.end(), bytes, bytes + (dtype == numerics::DType::kF32 ? 4 : 2));
  }
  return m;
}

struct AdapterKind {
  std::int64_t rank = 4;
  bool dora = false;
  std::uint64_t seed = 1;
  numerics::DType dtype = numerics::DType::kF32;
};

// Changes every matrix of the model.
inline weights::AdapterFile RandomAdapter(const Model& model, const AdapterKind& kind) {
  Numbers numbers(kind.seed);
  weights::AdapterFile file;
  file.path = "random.lora";
  file.architecture = model.info().architecture;
  for (const LinearPlace& place : model.linears()) {
    weights::AdapterPart& part = file.parts[place.tensor];
    part.a = RandomMatrix(numbers, kind.dtype, kind.rank, place.n_in);
    part.b = RandomMatrix(numbers, kind.dtype, place.view.n_rows(), kind.rank);
    part.scale = 0.25;
    if (!kind.dora) continue;
    for (std::int64_t i = 0; i < place.view.n_rows(); ++i) {
      part.magnitude.push_back(1.0F + 0.3F * numbers.Next());
    }
  }
  return file;
}

}  // namespace tatara::model::test
