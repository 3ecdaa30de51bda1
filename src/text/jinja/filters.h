// The tables of filters, tests and global functions.
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace tatara::text::jinja {

// Null where there is none of that name.
FilterFunction FindFilter(std::string_view name);
TestFunction FindTest(std::string_view name);
// Undefined where there is none. `now_unix` feeds strftime_now; negative: the system's clock, local
// time.
struct GlobalOptions {
  bool has_now = false;
  std::int64_t now_unix = 0;
};
Value MakeGlobal(Run& run, std::string_view name, const GlobalOptions& options);

using FilterEntry = std::pair<std::string_view, FilterFunction>;
using TestEntry = std::pair<std::string_view, TestFunction>;
std::span<const FilterEntry> TextFilters();      // filters_text.cc
std::span<const FilterEntry> NumberFilters();    // filters_number.cc
std::span<const FilterEntry> SequenceFilters();  // filters_sequence.cc
std::span<const FilterEntry> OrderFilters();     // filters_order.cc

}  // namespace tatara::text::jinja
