// Filters on sequences and mappings that keep their order.
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/attribute_path.h"
#include "jinja/filters.h"
#include "jinja/methods.h"
#include "jinja/number.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

Value Default(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "default", arguments, {"default_value", "boolean"});
  if (input.IsUndefined() || (bound.Flag(1) && !IsTrue(input)))
    return bound.Has(0) ? bound[0] : run.String("");
  return input;
}

Value LengthFilter(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "length", arguments, {});
  return Value::Int(static_cast<std::int64_t>(Length(run, input, "length")));
}

Value ListFilter(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "list", arguments, {});
  return run.List(Iterate(run, input, "list"));
}

Value First(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "first", arguments, {});
  if (input.Is(Kind::kGenerator)) {
    auto& generator = input.as<GeneratorObject>();
    if (generator.next < generator.items.size()) return generator.items[generator.next++];
    return run.Undefined(UndefinedObject::Why::kEmpty, "first");
  }
  const std::vector<Value> items = Iterate(run, input, "first");
  return items.empty() ? run.Undefined(UndefinedObject::Why::kEmpty, "first") : items.front();
}

Value Last(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "last", arguments, {});
  if (input.Is(Kind::kGenerator)) run.FailType("last", "sequence", input);
  const std::vector<Value> items = Iterate(run, input, "last");
  return items.empty() ? run.Undefined(UndefinedObject::Why::kEmpty, "last") : items.back();
}

Value Reverse(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "reverse", arguments, {});
  if (input.IsString()) return GetSlice(run, input, Value(), Value(), Value::Int(-1));
  std::vector<Value> items = Iterate(run, input, "reverse");
  std::reverse(items.begin(), items.end());
  return input.Is(Kind::kGenerator) ? run.List(std::move(items)) : run.Generator(std::move(items));
}

Value Join(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "join", arguments, {"d", "attribute"});
  const std::string between = bound.Has(0) ? ToText(run, bound[0]) : "";
  std::string out;
  bool first = true;
  for (const Value& item : Iterate(run, input, "join")) {
    const Value value = bound.HasAndNotNone(1) ? FollowPath(run, item, bound[1]) : item;
    const std::string text = ToText(run, value);
    run.Charge(text.size() + between.size());
    if (!first) out += between;
    first = false;
    out += text;
  }
  return run.String(std::move(out));
}

Value Items(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "items", arguments, {});
  if (input.IsUndefined()) return run.Generator({});
  if (!input.Is(Kind::kDict)) run.FailType("items", "dict", input);
  return run.Generator(Iterate(run, FindDictMethod("items")(run, input, Arguments()), "items"));
}

Value Attr(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "attr", arguments, {"name"}, 1);
  const std::string& name = bound.Text(0);
  if (input.IsUndefined()) run.FailUndefined(input);
  Value out;
  if (!name.starts_with("__") && FindMember(run, input, name, &out)) return out;
  return run.Undefined(UndefinedObject::Why::kAttribute, name, std::string(TypeName(input)));
}

Value Map(Run& run, const Value& input, const Arguments& arguments) {
  std::vector<Value> out;
  if (!IsTrue(input)) return run.Generator({});
  if (arguments.positional.empty()) {
    const Bound bound(run, "map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : Iterate(run, input, "map")) {
      Value value = FollowPath(run, item, bound[0]);
      if (value.IsUndefined() && bound.HasAndNotNone(1)) value = bound[1];
      out.push_back(value);
    }
    return run.Generator(std::move(out));
  }
  if (!arguments.positional[0].IsString()) run.FailType("map", "str", arguments.positional[0]);
  const std::string& name = arguments.positional[0].text();
  const FilterFunction filter = FindFilter(name);
  if (filter == nullptr) {
    Fail(Refuse("chat template, line {0}: the filter '{1}' is not known to this interpreter",
                run.line, name));
  }
  const Level level(run);
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : Iterate(run, input, "map")) out.push_back(filter(run, item, rest));
  return run.Generator(std::move(out));
}

// select, reject, selectattr, rejectattr: [attribute], test, arguments of the test.
template <bool kKeep, bool kAttribute>
Value Select(Run& run, const Value& input, const Arguments& arguments) {
  if (!IsTrue(input)) return run.Generator({});
  const std::string_view name =
      kAttribute ? (kKeep ? "selectattr" : "rejectattr") : (kKeep ? "select" : "reject");
  Arguments rest = arguments;
  Value path = Value::None();
  if (kAttribute) {
    if (rest.positional.empty()) {
      Fail(Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run.line, name,
                  "attribute"));
    }
    path = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  TestFunction test = nullptr;
  if (!rest.positional.empty()) {
    if (!rest.positional[0].IsString()) run.FailType(name, "str", rest.positional[0]);
    const std::string& test_name = rest.positional[0].text();
    test = FindTest(test_name);
    if (test == nullptr) {
      Fail(Refuse("chat template, line {0}: the test '{1}' is not known to this interpreter",
                  run.line, test_name));
    }
    rest.positional.erase(rest.positional.begin());
  }
  const Level level(run);
  std::vector<Value> out;
  for (const Value& item : Iterate(run, input, name)) {
    const Value value = FollowPath(run, item, path);
    if ((test != nullptr ? test(run, value, rest) : IsTrue(value)) == kKeep) out.push_back(item);
  }
  return run.Generator(std::move(out));
}

Value Batch(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "batch", arguments, {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.Int(0, 1);
  if (size <= 0 || size > kRangeLengthMax) run.FailType("batch", "positive int", bound[0]);
  std::vector<Value> out, line;
  const auto flush = [&] {
    run.Charge(line.size() * sizeof(Value));
    out.push_back(run.List(std::move(line)));
    line.clear();
  };
  for (const Value& item : Iterate(run, input, "batch")) {
    if (static_cast<std::int64_t>(line.size()) == size) flush();
    line.push_back(item);
  }
  if (!line.empty()) {
    if (bound.HasAndNotNone(1)) line.resize(static_cast<std::size_t>(size), bound[1]);
    flush();
  }
  return run.Generator(std::move(out));
}

Value Slice(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "slice", arguments, {"slices", "fill_with"}, 1);
  const std::int64_t slices = bound.Int(0, 1);
  if (slices <= 0 || slices > kRangeLengthMax) run.FailType("slice", "positive int", bound[0]);
  const std::vector<Value> items = Iterate(run, input, "slice");
  const std::size_t each = items.size() / static_cast<std::size_t>(slices);
  const std::size_t extra = items.size() % static_cast<std::size_t>(slices);
  std::vector<Value> out;
  auto at = items.begin();
  for (std::size_t i = 0; i < static_cast<std::size_t>(slices); ++i) {
    const auto end = at + static_cast<std::ptrdiff_t>(each + (i < extra ? 1 : 0));
    std::vector<Value> part(at, end);
    if (bound.HasAndNotNone(1) && i >= extra) part.push_back(bound[1]);
    out.push_back(run.List(std::move(part)));
    at = end;
  }
  return run.Generator(std::move(out));
}

Value Sum(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "sum", arguments, {"attribute", "start"});
  Value total = bound.Or(1, Value::Int(0));
  if (total.IsString()) run.FailType("sum", "int", total);
  for (const Value& item : Iterate(run, input, "sum")) {
    total =
        Arithmetic(run, BinaryOp::kAdd, total, FollowPath(run, item, bound.Or(0, Value::None())));
  }
  return total;
}

constexpr FilterEntry kFilters[] = {
    {"attr", Attr},
    {"batch", Batch},
    {"count", LengthFilter},
    {"d", Default},
    {"default", Default},
    {"first", First},
    {"items", Items},
    {"join", Join},
    {"last", Last},
    {"length", LengthFilter},
    {"list", ListFilter},
    {"map", Map},
    {"reject", Select<false, false>},
    {"rejectattr", Select<false, true>},
    {"reverse", Reverse},
    {"select", Select<true, false>},
    {"selectattr", Select<true, true>},
    {"slice", Slice},
    {"sum", Sum},
};

}  // namespace

std::span<const FilterEntry> SequenceFilters() {
  return kFilters;
}

Value FollowPath(Run& run, const Value& value, const Value& path) {
  if (path.IsNone()) return value;
  if (!path.IsString()) return GetItem(run, value, path);
  Value at = value;
  std::string_view rest = path.text();
  for (;;) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, end);
    Value key;
    const bool digits =
        !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits || !ParsePythonInt(run, part, 10, &key)) key = run.String(std::string(part));
    at = GetItem(run, at, key);
    if (end == rest.size()) return at;
    rest.remove_prefix(end + 1);
  }
}

Value IgnoreCase(Run& run, const Value& value) {
  if (!value.IsString()) return value;
  run.TouchText(value.text().size() * 8);
  return run.String(Lower(value.text()));
}

}  // namespace tatara::text::jinja
