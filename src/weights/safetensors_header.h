// The JSON of a safetensors header, read as it comes without building a tree: only the format's own
// keys, kinds and depth are accepted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // from the start of the data
};

// In the header's order; names may repeat. `metadata`: the entries of __metadata__.
Result<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(
    std::string_view json, std::string_view origin, std::map<std::string, std::string>& metadata);

}  // namespace tatara::weights
