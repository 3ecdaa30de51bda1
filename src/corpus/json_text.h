// JSON of files: parsed with a depth limit and without exceptions, keys in their order.
// Thread safety: free functions.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara::corpus {

using Json = nlohmann::ordered_json;

// Nothing where it is not JSON or nests deeper than base's bound; `why` says which.
std::optional<Json> ParseJson(std::string_view text, std::optional<Error>* why = nullptr);

// Without blanks; invalid UTF-8 becomes U+FFFD.
std::string DumpJson(const Json& value);

}  // namespace tatara::corpus
