// JSON as this module reads and writes it: parsing with a depth limit and without exceptions,
// numbers that come back as they were. Thread safety: free functions.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara::generate {

// Key order kept: templates print what they are given.
using Json = nlohmann::ordered_json;

// `what` names the text in errors.
Result<Json> ParseJson(std::string_view text, std::string_view what);

// Without blanks; invalid UTF-8 becomes U+FFFD.
std::string DumpJson(const Json& value);

// A finite number by the rules of ECMAScript (RFC 8785, 3.2.2.3): the shortest digits that read
// back as the same f64.
std::string NumberText(double value);

}  // namespace tatara::generate
