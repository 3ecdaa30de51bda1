// Marks in a text at which no special token begins. A mark is U+FDD0; where a text has that
// character or U+FDD1 itself, U+FDD1 goes before it, so that taking the marks out gives back the
// text they were put into. Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tatara::text::guard {

// `places`: offsets in `text`, ascending.
std::string PutIn(std::string_view text, std::span<const std::size_t> places);

// `places`, where not null, gets the offsets in the returned text that marks stood before.
std::string TakeOut(std::string_view marked, std::vector<std::size_t>* places);

}  // namespace tatara::text::guard
