// str() and repr() of values, and JSON in and out.
#pragma once

#include <string>
#include <string_view>

#include "jinja/value.h"

namespace tatara::text::jinja {

// str(value): what {{ value }} prints. Undefined prints nothing.
std::string ToText(Run& run, const Value& value);
std::string Repr(Run& run, const Value& value);
// The value as a string value; strings stay what they are (their safe mark too).
Value SoftString(Run& run, const Value& value);
std::string FloatRepr(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;  // per level, where indented
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// As Python's json.dumps writes it.
std::string ToJson(Run& run, const Value& value, const JsonStyle& style);

// The context of a rendering: one JSON object, key order and numbers kept as Python keeps them.
Value ParseContext(Run& run, std::string_view json);

}  // namespace tatara::text::jinja
