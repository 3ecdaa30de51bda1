// The safetensors files of a folder: model.safetensors, or those that model.safetensors.index.json
// names. Thread safety: values.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "held_store.h"
#include "safetensors_reader.h"

namespace tatara::weights {

// More than any published model has.
inline constexpr std::size_t kShardsMax = 4096;

struct SourceTensor {
  const SafetensorsType* type = nullptr;
  std::vector<std::int64_t> shape;  // slowest dimension first
  ByteSpan data;
  bool by_output = false;  // outputs x inputs, however the family publishes its matrices

  std::int64_t n_rows() const;  // all dimensions but the last
  std::int64_t n_cols() const { return shape.empty() ? 1 : shape.back(); }
};
using SourceTensors = std::map<std::string, SourceTensor, std::less<>>;

// Maps the files into `store`, which keeps them. Refused where a file is damaged, one that the
// index names is missing or lies elsewhere, or a tensor is not where the index says.
Result<SourceTensors> OpenShards(const std::filesystem::path& folder, HeldStore& store);

}  // namespace tatara::weights
