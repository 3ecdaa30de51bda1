#include "jinja/methods.h"

#include <algorithm>
#include <array>
#include <span>

#include "jinja/arguments.h"
#include "jinja/eval.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace tatara::text::jinja {
namespace {

// Python members that change a list or a dict: the sandbox gives no access to them.
constexpr std::string_view kListChanges[] = {"append", "clear", "pop",    "reverse",
                                             "insert", "sort",  "extend", "remove"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

// Members that Python has and this interpreter lacks: named in a refusal, never taken for
// undefined.
constexpr std::string_view kTextLacking[] = {
    "encode",       "maketrans", "translate", "format_map", "expandtabs",
    "isidentifier", "istitle",   "striptags", "unescape",   "escape"};
constexpr std::string_view kNumberLacking[] = {
    "real",      "imag",     "numerator",  "denominator",      "bit_length", "bit_count",
    "conjugate", "to_bytes", "from_bytes", "as_integer_ratio", "hex",        "fromhex"};
constexpr std::string_view kDictLacking[] = {"fromkeys"};
constexpr std::string_view kRangeLacking[] = {"start", "stop", "step", "count", "index"};
constexpr std::string_view kViewLacking[] = {"isdisjoint", "mapping"};
constexpr std::string_view kGeneratorLacking[] = {"send", "throw", "close"};

bool IsOneOf(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Value BindMethod(Run& run, const Value& self, std::string_view name, Method method) {
  return run.Function(std::string(name),
                      [self, method](Run& r, const Arguments& a) { return method(r, self, a); });
}

Value Unsafe(Run& run, const Value& object, std::string_view name) {
  return run.Undefined(UndefinedObject::Why::kUnsafe, std::string(name),
                       std::string(TypeName(object)));
}

// Value.count and .index of lists and tuples.
Value SequenceCount(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "count", arguments, {"value"}, 1);
  std::int64_t n = 0;
  for (const Value& item : self.items()) n += Equals(run, item, bound[0]);
  return Value::Int(n);
}

Value SequenceIndex(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "index", arguments, {"value", "start", "stop"}, 1);
  const auto n = static_cast<std::int64_t>(self.items().size());
  const auto clamp = [n](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? (i < -n ? 0 : i + n) : i, 0, n);
  };
  const std::int64_t stop = clamp(bound.Int(2, n));
  for (std::int64_t i = clamp(bound.Int(1, 0)); i < stop; ++i) {
    if (Equals(run, self.items()[static_cast<std::size_t>(i)], bound[0])) return Value::Int(i);
  }
  Fail(Refuse("chat template, line {0}: '{1}' finds nothing", run.line, "index"));
}

Value SequenceCopy(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "copy", arguments, {});
  return run.List(self.items());
}

Value MakeView(Run& run, const Value& self, ViewObject::What what, std::string_view name,
               const Arguments& arguments) {
  const Bound bound(run, name, arguments, {});
  auto* view = run.Make<ViewObject>();
  view->what = what;
  view->dict = &self.as<DictObject>();
  return Value(Kind::kView, view);
}

Value DictKeys(Run& run, const Value& self, const Arguments& arguments) {
  return MakeView(run, self, ViewObject::What::kKeys, "keys", arguments);
}
Value DictValues(Run& run, const Value& self, const Arguments& arguments) {
  return MakeView(run, self, ViewObject::What::kValues, "values", arguments);
}
Value DictItems(Run& run, const Value& self, const Arguments& arguments) {
  return MakeView(run, self, ViewObject::What::kItems, "items", arguments);
}
Value DictCopy(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "copy", arguments, {});
  return self;  // no template can change it
}
Value DictGet(Run& run, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) {
    Fail(Refuse("chat template, line {0}: '{1}' has no argument '{2}'", run.line, "get",
                arguments.named[0].first));
  }
  const Bound bound(run, "get", arguments, {"key", "default"}, 1);
  RequireHashable(run, bound[0]);
  const Value* found = self.as<DictObject>().Find(bound[0]);
  return found != nullptr ? *found : bound.Or(1, Value::None());
}

Value FloatIsInteger(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "is_integer", arguments, {});
  const double value = self.real();
  return Value::Bool(value == static_cast<double>(static_cast<std::int64_t>(value)) &&
                     value > -9e18 && value < 9e18);
}

// Of `loop`.
Value LoopCycle(Run& run, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty()) {
    Fail(Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run.line, "cycle",
                "values"));
  }
  return arguments.positional[self.as<LoopObject>().index0 % arguments.positional.size()];
}

Value LoopChanged(Run& run, const Value& self, const Arguments& arguments) {
  auto& loop = self.as<LoopObject>();
  bool same = loop.has_changed_before && loop.last_changed.size() == arguments.positional.size();
  for (std::size_t i = 0; same && i < loop.last_changed.size(); ++i) {
    same = Equals(run, loop.last_changed[i], arguments.positional[i]);
  }
  if (same) return Value::Bool(false);
  run.Charge(arguments.positional.size() * sizeof(Value));
  loop.last_changed = arguments.positional;
  loop.has_changed_before = true;
  return Value::Bool(true);
}

Value LoopCall(Run& run, const Value& self, const Arguments& arguments) {
  const auto& loop = self.as<LoopObject>();
  const Bound bound(run, "loop", arguments, {"iterable"}, 1);
  if (loop.statement == nullptr) run.FailUnsupported("loop() without 'recursive'");
  return loop.evaluator->RenderLoop(loop, bound[0]);
}

bool FindLoopMember(Run& run, const Value& object, std::string_view name, Value* out) {
  const auto& loop = object.as<LoopObject>();
  const auto size = static_cast<std::int64_t>(loop.items.size());
  const auto at = static_cast<std::int64_t>(loop.index0);
  const std::array<std::pair<std::string_view, std::int64_t>, 7> numbers = {
      {{"index0", at},
       {"index", at + 1},
       {"length", size},
       {"revindex0", size - at - 1},
       {"revindex", size - at},
       {"depth0", loop.depth0},
       {"depth", loop.depth0 + 1}}};
  for (const auto& [key, value] : numbers) {
    if (key == name) return *out = Value::Int(value), true;
  }
  if (name == "first" || name == "last") {
    *out = Value::Bool(name == "first" ? at == 0 : at + 1 == size);
  } else if (name == "previtem") {
    *out = at > 0 ? loop.items[loop.index0 - 1]
                  : run.Undefined(UndefinedObject::Why::kName, "loop.previtem");
  } else if (name == "nextitem") {
    *out = at + 1 < size ? loop.items[loop.index0 + 1]
                         : run.Undefined(UndefinedObject::Why::kName, "loop.nextitem");
  } else if (name == "cycle") {
    *out = BindMethod(run, object, name, LoopCycle);
  } else if (name == "changed") {
    *out = BindMethod(run, object, name, LoopChanged);
  } else if (name == "()") {
    *out = BindMethod(run, object, name, LoopCall);
  } else {
    return false;
  }
  return true;
}

Value CyclerNext(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "next", arguments, {});
  auto& cycler = self.as<CyclerObject>();
  const Value out = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return out;
}
Value CyclerReset(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "reset", arguments, {});
  self.as<CyclerObject>().position = 0;
  return Value::None();
}

bool FindCyclerMember(Run& run, const Value& object, std::string_view name, Value* out) {
  const auto& cycler = object.as<CyclerObject>();
  if (name == "current") return *out = cycler.items[cycler.position], true;
  if (name == "next") return *out = BindMethod(run, object, name, CyclerNext), true;
  if (name == "reset") return *out = BindMethod(run, object, name, CyclerReset), true;
  return false;
}

bool FindFunctionMember(Run& run, const Value& object, std::string_view name, Value* out) {
  const auto& function = object.as<FunctionObject>();
  if (function.parameter_names == nullptr) return false;
  if (name == "name") return *out = run.String(function.name), true;
  if (name == "arguments") {
    std::vector<Value> names;
    for (const std::string& parameter : *function.parameter_names)
      names.push_back(run.String(parameter));
    return *out = run.Tuple(std::move(names)), true;
  }
  return false;
}

bool FindContainerMember(Run& run, const Value& object, std::string_view name, Value* out) {
  const bool is_dict = object.Is(Kind::kDict);
  const bool changes =
      is_dict ? IsOneOf(name, kDictChanges) : object.Is(Kind::kList) && IsOneOf(name, kListChanges);
  if (changes) return *out = Unsafe(run, object, name), true;
  if (object.Is(Kind::kTuple) && object.as<ListObject>().is_group &&
      (name == "grouper" || name == "list")) {
    return *out = object.items()[name == "list" ? 1 : 0], true;
  }
  if (is_dict && IsOneOf(name, kDictLacking)) run.FailUnsupported("dict." + std::string(name));
  const Method method = is_dict ? FindDictMethod(name) : FindSequenceMethod(name);
  if (method == nullptr || (name == "copy" && object.Is(Kind::kTuple))) return false;
  return *out = BindMethod(run, object, name, method), true;
}

bool FindTextMember(Run& run, const Value& object, std::string_view name, Value* out) {
  Method method = FindTextMethod(name);
  if (method == nullptr) method = FindTextSplitMethod(name);
  if (method == nullptr && IsOneOf(name, kTextLacking))
    run.FailUnsupported("str." + std::string(name));
  if (method == nullptr) return false;
  return *out = BindMethod(run, object, name, method), true;
}

void RefuseLacking(Run& run, const Value& object, std::string_view name,
                   std::span<const std::string_view> lacking) {
  if (IsOneOf(name, lacking))
    run.FailUnsupported(std::string(TypeName(object)) + "." + std::string(name));
}

}  // namespace

Method FindSequenceMethod(std::string_view name) {
  if (name == "count") return SequenceCount;
  if (name == "index") return SequenceIndex;
  if (name == "copy") return SequenceCopy;
  return nullptr;
}

Method FindDictMethod(std::string_view name) {
  if (name == "get") return DictGet;
  if (name == "items") return DictItems;
  if (name == "keys") return DictKeys;
  if (name == "values") return DictValues;
  if (name == "copy") return DictCopy;
  return nullptr;
}

bool FindMember(Run& run, const Value& object, std::string_view name, Value* out) {
  switch (object.kind()) {
    case Kind::kString:
      return FindTextMember(run, object, name, out);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
      return FindContainerMember(run, object, name, out);
    case Kind::kNamespace: {
      const auto& attributes = object.as<NamespaceObject>().attributes;
      const auto it = attributes.find(name);
      if (it == attributes.end()) return false;
      return *out = it->second, true;
    }
    case Kind::kLoop:
      return FindLoopMember(run, object, name, out);
    case Kind::kCycler:
      return FindCyclerMember(run, object, name, out);
    case Kind::kFunction:
      return FindFunctionMember(run, object, name, out);
    case Kind::kFloat:
      if (name == "is_integer") return *out = BindMethod(run, object, name, FloatIsInteger), true;
      [[fallthrough]];
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kBigInt:
      RefuseLacking(run, object, name, kNumberLacking);
      return false;
    case Kind::kRange:
      RefuseLacking(run, object, name, kRangeLacking);
      return false;
    case Kind::kView:
      RefuseLacking(run, object, name, kViewLacking);
      return false;
    case Kind::kGenerator:
      RefuseLacking(run, object, name, kGeneratorLacking);
      return false;
    default:
      return false;
  }
}

}  // namespace tatara::text::jinja
