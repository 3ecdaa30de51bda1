// strftime in the C locale, whatever the process's own is: the same bits everywhere.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tatara::text::jinja {

// Refuses a directive that it does not know, naming it.
std::string FormatTime(Run& run, std::string_view format, const std::tm& when);

}  // namespace tatara::text::jinja
