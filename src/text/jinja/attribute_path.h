// "a.b.0": the attribute paths that map, sort and their like take.
#pragma once

#include <string_view>

#include "jinja/value.h"

namespace tatara::text::jinja {

// What `path` (a string or an integer; none: the value itself) leads to; undefined where nothing
// is.
Value FollowPath(Run& run, const Value& value, const Value& path);
// A string lowered, anything else itself: the key of comparisons that ignore case.
Value IgnoreCase(Run& run, const Value& value);

}  // namespace tatara::text::jinja
