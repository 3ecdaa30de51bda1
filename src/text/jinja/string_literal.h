// Escapes of a string literal, as Python reads them.
#pragma once

#include <string>
#include <string_view>

namespace tatara::text::jinja {

// Throws Failure, naming the escape. Unknown escapes stay as they are written.
std::string UnescapeLiteral(std::string_view body, int line);

}  // namespace tatara::text::jinja
