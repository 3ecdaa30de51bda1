// Which known name did the user mean?
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tatara {

// The candidate with the least edit distance (Levenshtein), where that is at most a third of the
// longer name; otherwise empty. Names above 64 bytes match nothing.
std::string Nearest(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace tatara
