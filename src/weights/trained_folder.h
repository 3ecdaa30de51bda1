// Folders that training leaves: a run holds keys.gguf (what a model of it has for keys) and
// checkpoints/step-00000250/weights.safetensors with tensors under GGUF's names; a checkpoint's
// keys are beside its weights or those of the run it lies in. Thread safety: free functions, no
// state.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

// A run with a checkpoint, or a checkpoint. `path` may be anything.
bool IsTrainedFolder(const std::filesystem::path& path);
// Its two files, keys first. A run is its last checkpoint.
Result<std::vector<std::filesystem::path>> FilesOfTrained(const std::filesystem::path& path);
Result<std::unique_ptr<TensorStore>> OpenTrainedFolder(const std::filesystem::path& path);

// The model that the adapter in this folder is for, as its keys.gguf says.
struct AdapterBase {
  std::string model;   // a name of the store, or a path
  std::string sha256;  // of its file
};
// Nothing where the folder holds no keys, or those of a whole model.
Result<std::optional<AdapterBase>> AdapterBaseOf(const std::filesystem::path& folder);

}  // namespace tatara::weights
