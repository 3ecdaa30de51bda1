// Python's two ways to format text.
#pragma once

#include "jinja/value.h"

namespace tatara::text::jinja {

// format % arguments (a tuple, a dict, or one value).
Value FormatPercent(Run& run, const Value& format, const Value& arguments);
// format.format(...)
Value FormatBraces(Run& run, const Value& format, const Arguments& arguments);

}  // namespace tatara::text::jinja
