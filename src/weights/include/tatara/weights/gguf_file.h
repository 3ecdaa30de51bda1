// Writes GGUF files (version 3, alignment 32). Source: the GGUF specification in ggml's repository
// (docs/gguf.md). Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/base/progress.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

struct GgufExportOptions {
  // Whether an adapter changes this tensor: it is written in f32 then, its rows handed to
  // change_rows dequantised. Empty: nothing is changed.
  std::function<bool(std::string_view tensor)> is_changed;
  std::function<Result<>(std::string_view tensor, std::int64_t first_row, std::span<float> rows)>
      change_rows;
  // The head is written although the model has none of its own: an adapter changes it.
  bool separate_head = false;
  ProgressSink* progress = nullptr;
};

struct GgufExportReport {
  std::int64_t n_tensors = 0;
  std::uint64_t bytes = 0;  // of the tensors
};

// Every tensor with the type and the bytes that it has, every key but those that only say how the
// store was read. `path` must not exist; it appears whole or not at all. Numbers get the least wide
// of the types that readers expect: 32 bits where they fit, floats always.
Result<GgufExportReport> ExportGguf(const TensorStore& store, const std::filesystem::path& path,
                                    const GgufExportOptions& options);

// A file of keys without tensors, over the old one where there is one.
Result<> WriteGgufKeys(const std::filesystem::path& path, const Metadata& keys);

}  // namespace tatara::weights
