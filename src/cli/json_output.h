// JSON for programs: one value and a line end on standard output.
#pragma once

#include <nlohmann/json.hpp>

#include "terminal.h"

namespace tatara::cli {

using Json = nlohmann::ordered_json;

// Text that is not UTF-8 (a path, a message of the system) comes out with U+FFFD.
inline void OutJson(const Json& value) {
  Out(value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace tatara::cli
