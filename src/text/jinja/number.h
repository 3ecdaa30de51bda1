// Texts to numbers, as int() and float() of Python read them.
#pragma once

#include <string_view>

#include "jinja/value.h"

namespace tatara::text::jinja {

// False where Python raises ValueError.
bool ParsePythonInt(Run& run, std::string_view text, std::int64_t base, Value* out);
bool ParsePythonFloat(std::string_view text, double* out);
// A finite double without a fraction.
Value IntegerFromFloat(Run& run, double whole);

}  // namespace tatara::text::jinja
