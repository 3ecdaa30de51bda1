// What a recipe's section [data] asks to be prepared. Thread safety: free functions.
#pragma once

#include <filesystem>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/corpus/prepare.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

struct DataOptions {
  // The tokenizer (and chat template) where the recipe names none: that of a base model. Borrowed.
  const Metadata* tokenizer = nullptr;
  std::filesystem::path cache;  // of prepared sets; empty: HOME/prepared
  int n_threads = 1;
};

// For recipes of kind "text" or "chat"; without a folder to write to.
Result<corpus::PrepareOptions> PreparationOf(const Recipe& recipe, const DataOptions& options);

}  // namespace tatara::learn
