// Functions that every template has.
#include <ctime>
#include <memory>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/strftime.h"

namespace tatara::text::jinja {
namespace {

Value Range(Run& run, const Arguments& arguments) {
  const Bound bound(run, "range", arguments, {"start", "stop", "step"}, 1);
  auto* range = run.Make<RangeObject>();
  const bool one = !bound.Has(1);
  range->start = one ? 0 : bound.Int(0, 0);
  range->stop = one ? bound.Int(0, 0) : bound.Int(1, 0);
  range->step = bound.Int(2, 1);
  if (range->step == 0)
    Fail(Refuse("chat template, line {0}: the step of a range is zero", run.line));
  const bool up = range->step > 0;
  if (up ? range->start < range->stop : range->start > range->stop) {
    const auto from = static_cast<std::uint64_t>(up ? range->start : range->stop);
    const auto to = static_cast<std::uint64_t>(up ? range->stop : range->start);
    const std::uint64_t step =
        up ? static_cast<std::uint64_t>(range->step) : 0 - static_cast<std::uint64_t>(range->step);
    const std::uint64_t length = (to - from - 1) / step + 1;
    if (length > static_cast<std::uint64_t>(kRangeLengthMax)) {
      Fail(Refuse("chat template, line {0}: the range is longer than {1}, the limit", run.line,
                  kRangeLengthMax));
    }
    range->length = static_cast<std::int64_t>(length);
  }
  return Value(Kind::kRange, range);
}

// dict(mapping or pairs, name=value, ...)
Value Dict(Run& run, const Arguments& arguments) {
  auto* dict = run.Make<DictObject>();
  if (arguments.positional.size() > 1) run.FailUnsupported("dict with several arguments");
  const auto set = [&](const Value& key, const Value& value) {
    RequireHashable(run, key);
    run.Charge(128);
    dict->Set(key, value);
  };
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.Is(Kind::kDict)) {
      for (const auto& [key, value] : from.as<DictObject>().entries) set(key, value);
    } else {
      for (const Value& pair : Iterate(run, from, "dict")) {
        const std::vector<Value> parts = Iterate(run, pair, "dict");
        if (parts.size() != 2) run.FailType("dict", "pairs", pair);
        set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) set(run.String(name), value);
  return Value(Kind::kDict, dict);
}

Value Namespace(Run& run, const Arguments& arguments) {
  const Value dict = Dict(run, arguments);
  auto* out = run.Make<NamespaceObject>();
  for (const auto& [key, value] : dict.as<DictObject>().entries) {
    if (key.IsString()) out->attributes.emplace(key.text(), value);
  }
  return Value(Kind::kNamespace, out);
}

Value RaiseException(Run& run, const Arguments& arguments) {
  const Bound bound(run, "raise_exception", arguments, {"message"}, 1);
  Fail(Refuse("the chat template refuses this conversation: {0}", ToText(run, bound[0])));
}

Value Cycler(Run& run, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) {
    Fail(Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run.line, "cycler",
                "items"));
  }
  auto* cycler = run.Make<CyclerObject>();
  run.Charge(arguments.positional.size() * sizeof(Value));
  cycler->items = arguments.positional;
  return Value(Kind::kCycler, cycler);
}

Value Joiner(Run& run, const Arguments& arguments) {
  const Bound bound(run, "joiner", arguments, {"sep"});
  const Value separator = bound.Has(0) ? bound[0] : run.String(", ");
  auto used = std::make_shared<bool>(false);
  return run.Function("joiner", [separator, used](Run& r, const Arguments& none) {
    const Bound no_arguments(r, "joiner", none, {});
    if (std::exchange(*used, true)) return separator;
    return r.String("");
  });
}

}  // namespace

Value MakeGlobal(Run& run, std::string_view name, const GlobalOptions& options) {
  if (name == "range") return run.Function("range", Range);
  if (name == "dict") return run.Function("dict", Dict);
  if (name == "namespace") return run.Function("namespace", Namespace);
  if (name == "raise_exception") return run.Function("raise_exception", RaiseException);
  if (name == "cycler") return run.Function("cycler", Cycler);
  if (name == "joiner") return run.Function("joiner", Joiner);
  if (name == "strftime_now") {
    return run.Function("strftime_now", [options](Run& r, const Arguments& arguments) {
      const Bound bound(r, "strftime_now", arguments, {"format"}, 1);
      std::tm when{};
      const std::time_t now =
          options.has_now ? static_cast<std::time_t>(options.now_unix) : std::time(nullptr);
      const bool known =
          options.has_now ? gmtime_r(&now, &when) != nullptr : localtime_r(&now, &when) != nullptr;
      if (!known) r.FailOverflow("strftime_now");
      return r.String(FormatTime(r, bound.Text(0), when));
    });
  }
  if (name == "lipsum") {
    return run.Function("lipsum",
                        [](Run& r, const Arguments&) -> Value { r.FailUnsupported("lipsum"); });
  }
  return Value();
}

}  // namespace tatara::text::jinja
