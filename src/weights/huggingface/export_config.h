// config.json of a model that is exported, from its GGUF keys. Thread safety: free functions.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "huggingface/family.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

struct ExportForm {
  const Family* family = nullptr;
  std::string_view model_class;  // "LlamaForCausalLM"
  std::string_view model_type;   // "llama"
  void (*add)(const Metadata& keys, nlohmann::ordered_json& config) = nullptr;
};

// Refused where no published layout of the architecture can be written here.
Result<ExportForm> FindExportForm(const Metadata& keys);

struct ConfigOptions {
  std::string_view dtype_name;  // "float32"
  bool tied_head = false;
};
Result<nlohmann::ordered_json> MakeConfig(const TensorStore& store, const ExportForm& form,
                                          const ConfigOptions& options);

// That config.json, read as any published one, gives back every key of the architecture.
Result<> CheckReadsBack(const TensorStore& store, const ExportForm& form,
                        const std::filesystem::path& config_path);

}  // namespace tatara::weights
