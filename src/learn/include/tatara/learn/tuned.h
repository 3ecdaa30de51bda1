// What a finished run is taken away as: an adapter in PEFT's form, or a whole model as GGUF; and
// its place among the models of this machine. Thread safety: one call per run.
#pragma once

#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/learn/recipe.h"
#include "tatara/weights/model_store.h"

namespace tatara::learn {

// OUT/adapter, as PEFT saves one, of the run's last checkpoint; over what is there. The recipe's
// base is resolved. Only of runs with an adapter.
Result<std::filesystem::path> WriteAdapterFolder(const Recipe& recipe,
                                                 const std::filesystem::path& out);

// The run as the model recipe.name: an adapter beside its base, or all weights.
Result<weights::LocalModel> RegisterTuned(const Recipe& recipe, const std::filesystem::path& out);

}  // namespace tatara::learn
