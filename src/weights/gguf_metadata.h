// The metadata section of a GGUF file. See gguf_reader.h for the limits.
#pragma once

#include <cstdint>

#include "gguf_cursor.h"
#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::weights {

// Reads `n_keys` entries at the cursor into `out`. Arrays of arrays are checked and left out.
Result<> ReadGgufMetadata(GgufCursor& cursor, std::uint64_t n_keys, Metadata& out);

}  // namespace tatara::weights
