// Attributes and methods that Python's own types have.
#pragma once

#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tatara::text::jinja {

// True where the value's type (not its content) has a member of that name; `out` is it. A method
// that would change a value comes out as an undefined that refuses every use; one that this
// interpreter lacks is refused by name.
bool FindMember(Run& run, const Value& object, std::string_view name, Value* out);

using Method = Value (*)(Run&, const Value& self, const Arguments&);
// Null where str has no such method here.
Method FindTextMethod(std::string_view name);       // methods_text.cc
Method FindTextSplitMethod(std::string_view name);  // methods_text_split.cc
Method FindSequenceMethod(std::string_view name);
Method FindDictMethod(std::string_view name);

// str.replace; a negative count replaces all.
std::string ReplaceText(Run& run, const std::string& text, const std::string& from,
                        const std::string& to, std::int64_t count_max);

}  // namespace tatara::text::jinja
