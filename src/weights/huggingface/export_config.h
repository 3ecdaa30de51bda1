// config.json of a model that is exported, from its GGUF keys, and what is checked of it. Thread
// safety: free functions.
#pragma once

#include <filesystem>

#include "huggingface/export_keys.h"

namespace tatara::weights {

// Refused where no published layout of the architecture can be written here.
Result<const ExportForm*> FindExportForm(const TensorStore& store);

struct ConfigOptions {
  std::string_view dtype_name;  // "float32"
  bool tied_head = false;
};
Result<OrderedJson> MakeConfig(const TensorStore& store, const ExportForm& form,
                               const ConfigOptions& options);

// What the folder's settings, read as any published ones, make of it.
struct ReadBack {
  const Family* family = nullptr;
  FamilySizes sizes;
};
// Refused where a key of the architecture, or what it says of positions, does not come back.
Result<ReadBack> CheckReadsBack(const TensorStore& store, const ExportForm& form,
                                const std::filesystem::path& folder);

}  // namespace tatara::weights
