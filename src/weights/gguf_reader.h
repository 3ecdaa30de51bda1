// Reads the head of a GGUF file, version 2 or 3: metadata and the table of tensors, all of it
// checked against the bytes that are there and the limits below. Source: the GGUF specification of
// ggml (docs/gguf.md). Thread safety: free function, no state. Ownership: the result borrows
// nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ggml_types.h"
#include "tatara/base/bytes.h"
#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::weights {

// Real files have fewer than 100 keys; every key costs at least 13 bytes of file.
inline constexpr std::uint64_t kMetadataKeysMax = 1 << 16;
// The largest published mixtures of experts, one tensor an expert, have about 50,000.
inline constexpr std::uint64_t kTensorsMax = 1 << 18;
// Both are the specification's.
inline constexpr std::uint64_t kKeyBytesMax = 65535;
inline constexpr std::uint64_t kTensorNameBytesMax = 64;
inline constexpr std::uint32_t kDimsMax = 4;
// Chat templates have tens of kilobytes.
inline constexpr std::uint64_t kStringBytesMax = 16 << 20;
// The largest vocabularies have 262,144 tokens and about as many merges.
inline constexpr std::uint64_t kArrayElementsMax = 16 << 20;
// Arrays are widened by up to 8 times in memory; real heads have at most 20 MB.
inline constexpr std::uint64_t kMetadataBytesMax = 256 << 20;
// Arrays of arrays of arrays: nobody writes more.
inline constexpr int kArrayDepthMax = 4;
// A multiple of 8 says the specification; ggml takes powers of two. Above a page it can not hold in
// memory.
inline constexpr std::uint32_t kAlignmentDefault = 32;
inline constexpr std::uint32_t kAlignmentMin = 8;
inline constexpr std::uint32_t kAlignmentMax = 4096;

struct GgufTensor {
  std::string name;
  const GgmlType* type = nullptr;  // into the static table
  int n_dims = 0;
  std::array<std::int64_t, 4> shape{1, 1, 1, 1};
  std::uint64_t offset = 0;  // from the start of the file
  std::uint64_t n_bytes = 0;
};

struct GgufHead {
  std::uint32_t version = 0;
  std::uint32_t alignment = kAlignmentDefault;
  Metadata metadata;
  std::vector<GgufTensor>
      tensors;  // in the file's order; inside the file, aligned, none over another
};

// `origin` names the file in errors and in the metadata.
Result<GgufHead> ReadGgufHead(ByteSpan file, std::string_view origin);

}  // namespace tatara::weights
