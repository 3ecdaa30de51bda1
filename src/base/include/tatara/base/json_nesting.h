// Whether JSON text nests deeper than a bound; asked before parsing text from outside, because
// parsers, copies and printers recurse as deep as their input.
#pragma once

#include <string_view>

namespace tatara {

inline constexpr int kJsonNestingMax = 64;

bool JsonNestsTooDeeply(std::string_view json, int depth_max = kJsonNestingMax);

}  // namespace tatara
