// Reads the head of a safetensors file, all of it checked against the bytes that are there and the
// limits below. Source: the format's description in its repository (huggingface/safetensors,
// README): a length of 8 bytes, so many bytes of JSON, the tensors without holes.
// Thread safety: free functions, no state. Ownership: the result borrows nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"
#include "tatara/numerics/dtype.h"

namespace tatara::weights {

// The reference reader's limit.
inline constexpr std::uint64_t kSafetensorsHeaderBytesMax = 100'000'000;
// Mixtures of experts with one tensor an expert have about 100,000.
inline constexpr std::size_t kSafetensorsTensorsMax = 1 << 19;
inline constexpr std::size_t kSafetensorsNameBytesMax = 1024;
inline constexpr std::size_t kSafetensorsDimsMax = 8;
inline constexpr std::size_t kSafetensorsMetadataMax = 1 << 12;

struct SafetensorsType {
  std::string_view name;  // "BF16"
  std::uint32_t bits;
  std::optional<numerics::DType> dtype;  // empty: no numbers that are computed with as such
};

struct SafetensorsTensor {
  const SafetensorsType* type = nullptr;  // into the static table
  std::vector<std::int64_t> shape;        // slowest dimension first, as the file has it
  std::uint64_t begin = 0, end = 0;       // in the file

  std::int64_t n_elements() const;
};

struct SafetensorsHead {
  std::map<std::string, SafetensorsTensor, std::less<>> tensors;
  std::map<std::string, std::string> metadata;
};

// True where the first bytes can be those of a safetensors file.
bool LooksLikeSafetensors(ByteSpan file);

Result<SafetensorsHead> ReadSafetensorsHead(ByteSpan file, std::string_view origin);

}  // namespace tatara::weights
