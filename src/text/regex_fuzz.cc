// Arbitrary bytes as an expression and a text, divided at the first line feed: matches are in
// order, inside the text, and as many as the bounds allow.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "split_regex.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tatara::text;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find('\n');
  if (end == input.npos) return 0;
  const auto regex = SplitRegex::Compile(input.substr(0, end), "fuzz");
  if (!regex.ok()) return 0;
  const std::string_view text = input.substr(end + 1);
  SplitRegex::Search search(*regex, text);
  std::size_t done = 0;
  for (SplitRegex::Match match; search.Next(match); done = match.end) {
    if (match.begin < done || match.end < match.begin || match.end > text.size()) std::abort();
  }
  return 0;
}
