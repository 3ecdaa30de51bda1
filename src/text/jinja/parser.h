// Tokens to syntax tree, by recursive descent; the grammar is jinja2 3.1's with the loopcontrols
// extension and the generation statement of Hugging Face's chat templates.
#pragma once

#include <string_view>

#include "jinja/ast.h"

namespace tatara::text::jinja {

// Throws Failure, naming the line and what is not understood.
Template ParseTemplate(std::string_view source);

}  // namespace tatara::text::jinja
