// A tokenizer by itself. Thread safety: free function.
#pragma once

#include <filesystem>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::weights {

// The metadata of any container of a model; of a tokenizer.json (whatever its name, ending in
// .json) that file, and tokenizer_config.json beside it where it is there.
Result<Metadata> ReadTokenizerMetadata(const std::filesystem::path& path);

}  // namespace tatara::weights
