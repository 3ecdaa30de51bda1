// The files that make a model, where it is more than one: all parts of a GGUF, or what is read of a
// Hugging Face folder. Thread safety: free functions, no state.
#pragma once

#include <filesystem>
#include <vector>

namespace tatara::weights {

// `path`: what OpenTensorStore takes. Ascending; at least `path` itself.
std::vector<std::filesystem::path> FilesOfModel(const std::filesystem::path& path);

// Whether this is a folder that OpenTensorStore would try.
bool IsModelFolder(const std::filesystem::path& path);

}  // namespace tatara::weights
