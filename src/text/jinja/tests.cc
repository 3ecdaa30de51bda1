// The tests behind `is`.
#include <map>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace tatara::text::jinja {
namespace {

template <Kind kKind>
bool IsKind(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.Is(kKind);
}

bool IsDefined(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return !input.IsUndefined();
}

template <bool kWanted>
bool IsBoolean(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.Is(Kind::kBool) && (input.integer() != 0) == kWanted;
}

bool IsIntegerTest(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.Is(Kind::kInt) || input.Is(Kind::kBigInt);
}

bool IsNumberTest(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.IsNumber() || input.Is(Kind::kBigInt);
}

bool IsSequence(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  switch (input.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
      return true;
    default:
      return false;
  }
}

bool IsIterableTest(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return IsIterable(input);
}

bool IsCallable(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.Is(Kind::kFunction) || input.Is(Kind::kLoop) || input.IsUndefined();
}

bool IsEscaped(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.is_safe();
}

template <bool kUpper>
bool IsCase(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  const Value text = run.String(ToText(run, input));
  return IsTrue(FindTextMethod(kUpper ? "isupper" : "islower")(run, text, Arguments()));
}

bool Divides(Run& run, const Value& input, const Value& by, std::int64_t rest) {
  return Equals(run, Arithmetic(run, BinaryOp::kModulo, input, by), Value::Int(rest));
}

template <int kRest>
bool IsParity(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return Divides(run, input, Value::Int(2), kRest);
}

bool IsDivisibleBy(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "divisibleby", arguments, {"num"}, 1);
  return Divides(run, input, bound[0], 0);
}

template <CompareOp kOp>
bool IsCompared(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {"other"}, 1);
  return Compare(run, kOp, input, bound[0]);
}

bool IsSameAs(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "sameas", arguments, {"other"}, 1);
  const Value& other = bound[0];
  if (input.kind() != other.kind()) return false;
  if (input.IsNone()) return true;
  if (input.IsNumber()) return Equals(run, input, other);
  return input.identity() == other.identity();
}

bool IsFilter(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.IsString() && FindFilter(input.text()) != nullptr;
}

bool IsTest(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "is", arguments, {});
  return input.IsString() && FindTest(input.text()) != nullptr;
}

const std::map<std::string_view, TestFunction>& Table() {
  static const auto* table = new std::map<std::string_view, TestFunction>{
      {"boolean", IsKind<Kind::kBool>},
      {"callable", IsCallable},
      {"defined", IsDefined},
      {"divisibleby", IsDivisibleBy},
      {"escaped", IsEscaped},
      {"even", IsParity<0>},
      {"false", IsBoolean<false>},
      {"filter", IsFilter},
      {"float", IsKind<Kind::kFloat>},
      {"in", IsCompared<CompareOp::kIn>},
      {"integer", IsIntegerTest},
      {"iterable", IsIterableTest},
      {"lower", IsCase<false>},
      {"mapping", IsKind<Kind::kDict>},
      {"none", IsKind<Kind::kNone>},
      {"number", IsNumberTest},
      {"odd", IsParity<1>},
      {"sameas", IsSameAs},
      {"sequence", IsSequence},
      {"string", IsKind<Kind::kString>},
      {"test", IsTest},
      {"true", IsBoolean<true>},
      {"undefined", IsKind<Kind::kUndefined>},
      {"upper", IsCase<true>},
      {"==", IsCompared<CompareOp::kEqual>},
      {"eq", IsCompared<CompareOp::kEqual>},
      {"equalto", IsCompared<CompareOp::kEqual>},
      {"!=", IsCompared<CompareOp::kNotEqual>},
      {"ne", IsCompared<CompareOp::kNotEqual>},
      {">", IsCompared<CompareOp::kGreater>},
      {"gt", IsCompared<CompareOp::kGreater>},
      {"greaterthan", IsCompared<CompareOp::kGreater>},
      {">=", IsCompared<CompareOp::kGreaterEqual>},
      {"ge", IsCompared<CompareOp::kGreaterEqual>},
      {"<", IsCompared<CompareOp::kLess>},
      {"lt", IsCompared<CompareOp::kLess>},
      {"lessthan", IsCompared<CompareOp::kLess>},
      {"<=", IsCompared<CompareOp::kLessEqual>},
      {"le", IsCompared<CompareOp::kLessEqual>},
  };
  return *table;
}

}  // namespace

TestFunction FindTest(std::string_view name) {
  const auto it = Table().find(name);
  return it == Table().end() ? nullptr : it->second;
}

}  // namespace tatara::text::jinja
