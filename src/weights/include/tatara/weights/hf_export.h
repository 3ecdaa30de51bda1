// Writes a model as a Hugging Face folder: config.json, dequantised safetensors under the published
// names and in the published layout (rotary order undone), generation_config.json, the chat
// template, and the tokenizer's files where the model came with them. Thread safety: free function.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/numerics/dtype.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

struct HfExportOptions {
  numerics::DType dtype = numerics::DType::kF32;  // or F16, BF16: of every tensor
  std::uint64_t shard_bytes_max = 5'000'000'000;
  // Some whole rows of `tensor`, first_row on, already dequantised: changes them where an adapter
  // does. May be empty.
  std::function<Result<>(std::string_view tensor, std::int64_t first_row, std::span<float> rows)>
      change_rows;
  // tokenizer.json of a vocabulary that the model's keys have in another form; empty: none.
  std::string tokenizer_json;
  // The head is written although the model has none of its own: an adapter changes it.
  bool separate_head = false;
  ProgressSink* progress = nullptr;
};

struct HfExportReport {
  std::string model_class;  // "LlamaForCausalLM"
  std::int64_t n_tensors = 0;
  std::uint64_t bytes = 0;         // of the tensors
  std::vector<std::string> files;  // in the folder
  bool has_tokenizer = false;      // tokenizer.json was there to be written
};

// GGUF's names of the architectures that can be written, ascending. A model of one of them may
// still be refused for a key or tensor that has no published place.
std::vector<std::string_view> ExportableArchitectures();

// `folder` must not exist; it appears whole or not at all. Before weights are written, the
// configuration is read back: refused, naming the key or tensor, where something of the model would
// be lost, and where no published layout of the architecture is known.
Result<HfExportReport> ExportHuggingFace(const TensorStore& store,
                                         const std::filesystem::path& folder,
                                         const HfExportOptions& options);

}  // namespace tatara::weights
