// Writes an adapter as PEFT saves one: a folder of adapter_config.json and
// adapter_model.safetensors, under the published names of the model's family, in the published
// order of rows. OpenAdapter reads it back to the same numbers. Thread safety: free function.
#pragma once

#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

struct PeftExportOptions {
  double alpha = 0;    // the scale times the rank
  double dropout = 0;  // that it was trained with
  std::string base;    // how people call the model; PEFT's base_model_name_or_path
};

// The files of a folder, by name, as they would be written.
struct PeftFiles {
  std::string config, tensors;
};

// Parts in F32, all of one rank and scale. `model` is the store of the model that it is for.
// Refused where a matrix has no published name, or a part of another form.
Result<PeftFiles> MakePeftFiles(const AdapterFile& adapter, const TensorStore& model,
                                const PeftExportOptions& options);

// `folder` must not exist; it appears whole or not at all.
Result<> ExportPeft(const AdapterFile& adapter, const TensorStore& model,
                    const std::filesystem::path& folder, const PeftExportOptions& options);

}  // namespace tatara::weights
