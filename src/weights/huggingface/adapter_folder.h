// Adapters as PEFT saves them: a folder with adapter_config.json and adapter_model.safetensors.
// Thread safety: free functions.
#pragma once

#include <filesystem>

#include "tatara/base/metadata.h"
#include "tatara/weights/adapter_file.h"

namespace tatara::weights {

// May throw std::bad_alloc.
Result<AdapterFile> OpenPeftFolder(const std::filesystem::path& folder, const Metadata& model);

}  // namespace tatara::weights
