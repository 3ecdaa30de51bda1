// Python's operators on values: truth, comparison, arithmetic, membership, subscripts, iteration.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace tatara::text::jinja {

bool IsTrue(const Value& value);
// Exact, whatever the types; a and b are numbers.
bool NumberLess(const Value& a, const Value& b);
bool Equals(Run& run, const Value& a, const Value& b);
// a < b; refused where Python has no order.
bool Less(Run& run, const Value& a, const Value& b, std::string_view op = "<");
bool Contains(Run& run, const Value& container, const Value& item);
bool Compare(Run& run, CompareOp op, const Value& a, const Value& b);
Value Arithmetic(Run& run, BinaryOp op, const Value& a, const Value& b);
Value Negate(Run& run, const Value& value);
Value Positive(Run& run, const Value& value);

bool IsIterable(const Value& value);
// Everything the value yields; reads a generator to its end. `what` names who asks.
std::vector<Value> Iterate(Run& run, const Value& value, std::string_view what);
// len(): refused where Python has none.
std::size_t Length(Run& run, const Value& value, std::string_view what);
bool IsHashable(const Value& value);
void RequireHashable(Run& run, const Value& value);

// object.name and object[key] as jinja2's environment resolves them; undefined where there is none.
Value GetAttribute(Run& run, const Value& object, std::string_view name);
Value GetItem(Run& run, const Value& object, const Value& key);
// Parts of a slice are undefined where absent.
Value GetSlice(Run& run, const Value& object, const Value& start, const Value& stop,
               const Value& step);
Value Call(Run& run, const Value& callee, const Arguments& arguments);

// Characters of a string as strings.
std::vector<Value> Characters(Run& run, const Value& text);
// HTML escapes of &, <, >, ' and ".
std::string EscapeHtml(std::string_view text);

}  // namespace tatara::text::jinja
