// What a recipe names, and what its section [data] asks to be prepared. Thread safety: free
// functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/corpus/prepare.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

constexpr std::uint64_t kTemplateBytesMax = std::uint64_t{1} << 20;  // of a chat template's file

struct DataOptions {
  // The tokenizer (and chat template) where the recipe names none: that of a base model. Borrowed.
  const Metadata* tokenizer = nullptr;
  std::filesystem::path cache;  // of prepared sets; empty: HOME/prepared
  int n_threads = 1;
  ProgressSink* progress = nullptr;  // of what has to be prepared; may be null
  const StopFlag* stop = nullptr;    // ends preparing with kCancelled; may be null
};

// A file or folder that the recipe names: beside it, else under TATARA_TEST_DATA. kNotFound says
// where to get it, where `source` does.
Result<std::filesystem::path> FindNamed(const Recipe& recipe, const std::string& name,
                                        const std::string& source = {});

// Learns the vocabulary that a recipe asks for, from the very files; else does nothing.
Result<> LearnVocabulary(const Recipe& recipe, const corpus::FoundFiles& found,
                         corpus::PrepareOptions& preparation);

// For recipes of kind "text" or "chat"; without a folder to write to.
// Where a vocabulary has to be learned, the model in it has no tokenizer but keys that say which.
Result<corpus::PrepareOptions> PreparationOf(const Recipe& recipe, const DataOptions& options);

}  // namespace tatara::learn
