// Reads the head of an E5S1 container: a small encoder (multilingual-e5) in Q4_0 with its
// tokenizer. All of it is checked against the bytes that are there and the limits below.
// Thread safety: free function, no state. Ownership: the result borrows the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/numerics/dtype.h"

namespace tatara::weights {

inline constexpr std::int32_t kE5WidthMax = 1 << 16;  // hidden and feed-forward sizes
inline constexpr std::int32_t kE5LayersMax = 1024;
inline constexpr std::int32_t kE5PositionsMax = 1 << 20;
inline constexpr std::int32_t kE5RowsMax = 1 << 22;  // of the word embedding; pieces too
inline constexpr std::uint64_t kE5PieceTextBytesMax = 1 << 28;
inline constexpr std::int32_t kE5MapEntriesMax = 1 << 20;  // fewer than there are characters

struct E5Tensor {
  std::string name;  // GGUF's name for it
  numerics::DType dtype = numerics::DType::kF32;
  std::int64_t n_rows = 0, n_cols = 0;
  ByteSpan data;
};

struct E5Head {
  Metadata metadata;
  std::vector<E5Tensor> tensors;
};

inline constexpr std::string_view kE5Magic = "E5S1";

Result<E5Head> ReadE5(ByteSpan file, std::string_view origin);

}  // namespace tatara::weights
