// Every tensor type of ggml, by its number in GGUF files: name and block size, so that a file is
// checked in full whatever it holds; and which of them numerics computes with. Source: the
// `ggml_type` enumeration and block structures of ggml (ggml.h, ggml-common.h). Thread safety: free
// functions, no state.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tatara/numerics/dtype.h"

namespace tatara::weights {

struct GgmlType {
  std::uint32_t number;
  std::string_view name;
  std::uint32_t block_elements;  // 0: the number was used once and withdrawn
  std::uint32_t block_bytes;
  std::optional<numerics::DType> dtype;  // empty: this version does not compute with it
};

// Null where ggml has never used the number.
const GgmlType* FindGgmlType(std::uint32_t number);

}  // namespace tatara::weights
