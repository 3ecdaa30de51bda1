// What an optimiser remembers of each parameter's gradients, in f32 or as bf16
// (numerics/bf16_storage.h).
// Thread safety: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tatara/model/trainable.h"

namespace tatara::learn {

struct Moments {
  static constexpr std::int64_t kNone = -1;

  // Zeros for the parameters that `has` names.
  Moments() = default;
  Moments(model::Storage storage, const std::vector<model::Parameter>& parameters,
          const std::function<bool(const model::Parameter&)>& has);

  std::size_t value_bytes() const { return narrow.empty() ? sizeof(float) : sizeof(narrow[0]); }
  // Of a parameter that has some.
  const std::byte* bytes(std::size_t parameter) const;
  std::byte* bytes(std::size_t parameter);

  std::vector<std::int64_t> offsets;  // by parameter: of its values, or kNone
  std::vector<float> wide;            // one of the two is empty
  std::vector<std::uint16_t> narrow;
};

}  // namespace tatara::learn
