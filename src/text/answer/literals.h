// Calls written in other notations than JSON: Python's, and Gemma's. Nothing where the text is not
// well formed. Thread safety: pure.
#pragma once

#include "answer/bodies.h"

namespace tatara::text::answer {

// [name(key="value", n=1, flags=[True, None]), ...]
Calls ReadPythonCalls(std::string_view text);

// call:NAME{key:<|"|>text<|"|>,n:1,list:[...],object:{...}}, one or more
Calls ReadGemmaCall(std::string_view text);

}  // namespace tatara::text::answer
