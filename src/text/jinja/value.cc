#include "jinja/value.h"

#include <algorithm>
#include <cmath>

#include "jinja/operators.h"

namespace tatara::text::jinja {

void Fail(Error error) {
  throw Failure{std::move(error)};
}

StringObject::StringObject(std::string text_in, bool safe_in)
    : text(std::move(text_in)),
      safe(safe_in),
      ascii(std::all_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {}

const std::string& Value::text() const {
  return as<StringObject>().text;
}
bool Value::is_safe() const {
  return kind_ == Kind::kString && as<StringObject>().safe;
}
std::vector<Value>& Value::items() const {
  return as<ListObject>().items;
}
UndefinedObject* Value::undefined() const {
  return static_cast<UndefinedObject*>(payload_.object);
}

namespace {

// Numbers, then texts, none, tuples, and what is its own identity.
int KeyClass(const Value& v) {
  switch (v.kind()) {
    case Kind::kBool:
    case Kind::kInt:
      return 0;
    case Kind::kFloat:
      return std::isnan(v.real()) ? 7 : 0;  // NaN has no place among numbers
    case Kind::kBigInt:
      return 1;
    case Kind::kString:
      return 2;
    case Kind::kNone:
      return 3;
    case Kind::kTuple:
      return 4;
    case Kind::kUndefined:
      return 5;
    default:
      return 6;
  }
}

}  // namespace

bool KeyLess::operator()(const Value& a, const Value& b) const {
  const int class_a = KeyClass(a);
  const int class_b = KeyClass(b);
  if (class_a != class_b) return class_a < class_b;
  switch (class_a) {
    case 0:
      if (a.IsInteger() && b.IsInteger()) return a.integer() < b.integer();
      return NumberLess(a, b);
    case 1:
    case 2:
      return a.text() < b.text();
    case 4:
      return std::lexicographical_compare(a.items().begin(), a.items().end(), b.items().begin(),
                                          b.items().end(), *this);
    case 6:
      return std::less<const void*>()(a.identity(), b.identity());
    default:
      return false;
  }
}

void DictObject::Set(const Value& key, const Value& value) {
  const auto [it, inserted] = index.try_emplace(key, entries.size());
  if (inserted) {
    entries.emplace_back(key, value);
  } else {
    entries[it->second].second = value;
  }
}

const Value* DictObject::Find(const Value& key) const {
  const auto it = index.find(key);
  return it == index.end() ? nullptr : &entries[it->second].second;
}

const Value* DictObject::FindText(std::string_view key) const {
  StringObject text(std::string(key), false);
  return Find(Value(Kind::kString, &text));
}

std::string_view TypeName(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      switch (value.as<ViewObject>().what) {
        case ViewObject::What::kKeys:
          return "dict_keys";
        case ViewObject::What::kValues:
          return "dict_values";
        case ViewObject::What::kItems:
          return "dict_items";
      }
      return "dict_items";
    case Kind::kGenerator:
      return "generator";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kFunction:
      return "function";
    case Kind::kLoop:
      return "loop";
    case Kind::kCycler:
      return "cycler";
  }
  return "object";
}

Value Run::String(std::string text, bool safe) {
  TouchText(text.size());
  Charge(text.size());
  return Value(Kind::kString, Make<StringObject>(std::move(text), safe));
}

Value Run::List(std::vector<Value> items) {
  Step(items.size());
  Charge(items.size() * sizeof(Value));
  auto* list = Make<ListObject>();
  list->items = std::move(items);
  return Value(Kind::kList, list);
}

Value Run::Tuple(std::vector<Value> items) {
  const Value list = List(std::move(items));
  return Value(Kind::kTuple, &list.as<ListObject>());
}

Value Run::Generator(std::vector<Value> items) {
  Step(items.size());
  Charge(items.size() * sizeof(Value));
  auto* generator = Make<GeneratorObject>();
  generator->items = std::move(items);
  return Value(Kind::kGenerator, generator);
}

Value Run::Function(std::string name, std::function<Value(Run&, const Arguments&)> call) {
  auto* function = Make<FunctionObject>();
  function->name = std::move(name);
  function->call = std::move(call);
  return Value(Kind::kFunction, function);
}

Value Run::Undefined(UndefinedObject::Why why, std::string name, std::string owner) {
  auto* object = Make<UndefinedObject>();
  object->why = why;
  object->name = std::move(name);
  object->owner = std::move(owner);
  return Value(Kind::kUndefined, object);
}

void Run::FailUndefined(const Value& value) const {
  const UndefinedObject* undefined = value.undefined();
  if (undefined == nullptr) {
    Fail(Refuse("chat template, line {0}: an undefined value is used", line));
  }
  switch (undefined->why) {
    case UndefinedObject::Why::kName:
      Fail(Refuse("chat template, line {0}: '{1}' is undefined", line, undefined->name));
    case UndefinedObject::Why::kAttribute:
      Fail(Refuse("chat template, line {0}: {2} has no element '{1}'", line, undefined->name,
                  undefined->owner));
    case UndefinedObject::Why::kUnsafe:
      Fail(Refuse("chat template, line {0}: '{1}' of {2} is not allowed in a template", line,
                  undefined->name, undefined->owner));
    case UndefinedObject::Why::kEmpty:
      Fail(Refuse("chat template, line {0}: '{1}' of an empty sequence is used", line,
                  undefined->name));
  }
  Fail(Refuse("chat template, line {0}: an undefined value is used", line));
}

void Run::FailType(std::string_view what, std::string_view expected, const Value& found) const {
  if (found.IsUndefined()) FailUndefined(found);
  Fail(Refuse("chat template, line {0}: '{1}' expects {2}, found {3}", line, what, expected,
              TypeName(found)));
}

void Run::FailOperands(std::string_view what, const Value& a, const Value& b) const {
  if (a.IsUndefined()) FailUndefined(a);
  if (b.IsUndefined()) FailUndefined(b);
  Fail(Refuse("chat template, line {0}: '{1}' cannot be applied to {2} and {3}", line, what,
              TypeName(a), TypeName(b)));
}

void Run::FailOverflow(std::string_view what) const {
  Fail(Refuse("chat template, line {0}: '{1}' leaves the range of 64-bit integers", line, what));
}

void Run::FailUnsupported(std::string_view what) const {
  Fail(Refuse("chat template, line {0}: '{1}' is not known to this interpreter", line, what));
}

void Run::FailSteps() const {
  Fail(Refuse("chat template, line {0}: stopped after {1} steps, the limit", line, kStepsMax));
}

void Run::FailMemory() const {
  Fail(Refuse("chat template, line {0}: needs more than {1} bytes, the limit", line,
              kMemoryBytesMax));
}

void Level::FailDepth() const {
  Fail(Refuse("chat template, line {0}: nested deeper than {1} levels, the limit", run_.line,
              kEvaluationDepthMax));
}

}  // namespace tatara::text::jinja
