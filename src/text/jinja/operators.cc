#include "jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "jinja/format.h"
#include "jinja/number.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

// Exact for every int64 and every double (64-bit significand on x86-64, 113 bits elsewhere).
long double Wide(const Value& v) {
  if (v.Is(Kind::kBigInt)) {
    double nearest = 0;
    ParsePythonFloat(v.text(), &nearest);
    return nearest;
  }
  return v.IsInteger() ? static_cast<long double>(v.integer()) : static_cast<long double>(v.real());
}

// Both kinds print, and decimals of one length compare as text.
bool BigLess(const std::string& a, const std::string& b) {
  const bool negative_a = a.starts_with('-');
  const bool negative_b = b.starts_with('-');
  if (negative_a != negative_b) return negative_a;
  const bool magnitude = a.size() != b.size() ? a.size() < b.size() : a < b;
  return negative_a ? a != b && !magnitude : magnitude;
}

bool IsBigOrder(const Value& a, const Value& b) {
  return (a.Is(Kind::kBigInt) && (b.Is(Kind::kBigInt) || b.IsInteger())) ||
         (b.Is(Kind::kBigInt) && a.IsInteger());
}

// Compared as floats: what lies beyond 64 bits is already rounded on the other side.
bool IsBigAndFloat(const Value& a, const Value& b) {
  return (a.Is(Kind::kBigInt) && b.Is(Kind::kFloat)) || (a.Is(Kind::kFloat) && b.Is(Kind::kBigInt));
}

std::string Decimal(const Value& v) {
  return v.Is(Kind::kBigInt) ? v.text() : std::to_string(v.integer());
}

bool EqualsAt(Run& run, const Value& a, const Value& b, int depth);

bool EqualItems(Run& run, const std::vector<Value>& a, const std::vector<Value>& b, int depth) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!EqualsAt(run, a[i], b[i], depth + 1)) return false;
  }
  return true;
}

bool EqualDicts(Run& run, const DictObject& a, const DictObject& b, int depth) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.Find(key);
    if (other == nullptr || !EqualsAt(run, value, *other, depth + 1)) return false;
  }
  return true;
}

bool EqualsAt(Run& run, const Value& a, const Value& b, int depth) {
  run.Step();
  if (depth > kValueDepthMax) {
    Fail(Refuse("chat template, line {0}: nested deeper than {1} levels, the limit", run.line,
                kValueDepthMax));
  }
  if (a.IsNumber() && b.IsNumber()) return Wide(a) == Wide(b);
  if (IsBigAndFloat(a, b)) return Wide(a) == Wide(b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
    case Kind::kBigInt:
      run.TouchText(std::min(a.text().size(), b.text().size()));
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return a.identity() == b.identity() || EqualItems(run, a.items(), b.items(), depth);
    case Kind::kDict:
      return a.identity() == b.identity() ||
             EqualDicts(run, a.as<DictObject>(), b.as<DictObject>(), depth);
    case Kind::kRange: {
      const auto& x = a.as<RangeObject>();
      const auto& y = b.as<RangeObject>();
      return x.length == y.length &&
             (x.length == 0 || (x.start == y.start && (x.length == 1 || x.step == y.step)));
    }
    default:
      return a.identity() == b.identity();
  }
}

Value AddText(Run& run, const Value& a, const Value& b) {
  if (!a.is_safe() && !b.is_safe()) {
    run.Charge(a.text().size() + b.text().size());
    return run.String(a.text() + b.text());
  }
  // Markup escapes what it is joined with.
  const std::string left = a.is_safe() ? a.text() : EscapeHtml(a.text());
  return run.String(left + (b.is_safe() ? b.text() : EscapeHtml(b.text())), true);
}

std::vector<Value> JoinItems(const Value& a, const Value& b) {
  std::vector<Value> out = a.items();
  out.insert(out.end(), b.items().begin(), b.items().end());
  return out;
}

Value Repeat(Run& run, const Value& sequence, std::int64_t times) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (sequence.IsString()) {
    const std::string& text = sequence.text();
    if (!text.empty() && n > kMemoryBytesMax / text.size()) run.Charge(kMemoryBytesMax + 1);
    run.Charge(text.size() * n);
    std::string out;
    out.reserve(text.size() * n);
    for (std::size_t i = 0; i < n && !text.empty(); ++i) out += text;
    return run.String(std::move(out), sequence.is_safe());
  }
  const std::vector<Value>& items = sequence.items();
  if (!items.empty() && n > kMemoryBytesMax / sizeof(Value) / items.size())
    run.Charge(kMemoryBytesMax + 1);
  run.Charge(items.size() * n * sizeof(Value));
  std::vector<Value> out;
  out.reserve(items.size() * n);
  for (std::size_t i = 0; i < n && !items.empty(); ++i)
    out.insert(out.end(), items.begin(), items.end());
  return sequence.Is(Kind::kList) ? run.List(std::move(out)) : run.Tuple(std::move(out));
}

constexpr std::string_view kNames[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void FailDivision(Run& run, std::string_view op) {
  Fail(Refuse("chat template, line {0}: '{1}' divides by zero", run.line, op));
}

Value IntegerPower(Run& run, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) FailDivision(run, "**");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value::Int(exponent == 0 ? 1 : base);
  if (base == -1) return Value::Int(exponent % 2 == 0 ? 1 : -1);
  std::int64_t out = 1;
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(out, base, &out)) run.FailOverflow("**");
  }
  return Value::Int(out);
}

Value IntegerArithmetic(Run& run, BinaryOp op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  const std::string_view name = kNames[static_cast<int>(op)];
  switch (op) {
    case BinaryOp::kAdd:
      if (__builtin_add_overflow(a, b, &out)) run.FailOverflow(name);
      return Value::Int(out);
    case BinaryOp::kSubtract:
      if (__builtin_sub_overflow(a, b, &out)) run.FailOverflow(name);
      return Value::Int(out);
    case BinaryOp::kMultiply:
      if (__builtin_mul_overflow(a, b, &out)) run.FailOverflow(name);
      return Value::Int(out);
    case BinaryOp::kDivide:
      if (b == 0) FailDivision(run, name);
      return Value::Float(
          static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case BinaryOp::kPower:
      return IntegerPower(run, a, b);
    default:
      break;
  }
  if (b == 0) FailDivision(run, name);
  if (b == -1) {  // the one quotient that may not fit
    if (op == BinaryOp::kModulo) return Value::Int(0);
    if (__builtin_sub_overflow(std::int64_t{0}, a, &out)) run.FailOverflow(name);
    return Value::Int(out);
  }
  // Both round towards minus infinity.
  std::int64_t quotient = a / b;
  std::int64_t rest = a % b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    --quotient;
    rest += b;
  }
  return Value::Int(op == BinaryOp::kFloorDivide ? quotient : rest);
}

// Python's float floor division and modulo.
Value FloatDivision(BinaryOp op, double a, double b) {
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    quotient -= 1;
  } else if (rest == 0) {
    rest = std::copysign(0.0, b);
  }
  if (op == BinaryOp::kModulo) return Value::Float(rest);
  if (quotient == 0) return Value::Float(std::copysign(0.0, a / b));
  double floor = std::floor(quotient);
  if (quotient - floor > 0.5) floor += 1;
  return Value::Float(floor);
}

Value FloatArithmetic(Run& run, BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value::Float(a + b);
    case BinaryOp::kSubtract:
      return Value::Float(a - b);
    case BinaryOp::kMultiply:
      return Value::Float(a * b);
    case BinaryOp::kPower: {
      if (a == 0 && b < 0) FailDivision(run, "**");
      const double out = std::pow(a, b);
      if ((std::isinf(out) && std::isfinite(a) && std::isfinite(b)) || (a < 0 && std::isnan(out))) {
        Fail(Refuse("chat template, line {0}: '{1}' has no real result", run.line, "**"));
      }
      return Value::Float(out);
    }
    default:
      if (b == 0) FailDivision(run, kNames[static_cast<int>(op)]);
      if (op == BinaryOp::kDivide) return Value::Float(a / b);
      return FloatDivision(op, a, b);
  }
}

}  // namespace

bool IsTrue(const Value& v) {
  switch (v.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.integer() != 0;
    case Kind::kFloat:
      return v.real() != 0;
    case Kind::kString:
      return !v.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !v.items().empty();
    case Kind::kDict:
      return !v.as<DictObject>().entries.empty();
    case Kind::kRange:
      return v.as<RangeObject>().length != 0;
    case Kind::kView:
      return !v.as<ViewObject>().dict->entries.empty();
    default:
      return true;
  }
}

bool NumberLess(const Value& a, const Value& b) {
  return Wide(a) < Wide(b);
}

bool Equals(Run& run, const Value& a, const Value& b) {
  return EqualsAt(run, a, b, 0);
}

bool Less(Run& run, const Value& a, const Value& b, std::string_view op) {
  const Level level(run);
  run.Step();
  if ((a.IsNumber() && b.IsNumber()) || IsBigAndFloat(a, b)) return NumberLess(a, b);
  if (IsBigOrder(a, b)) return BigLess(Decimal(a), Decimal(b));
  if (a.IsString() && b.IsString()) {
    run.TouchText(std::min(a.text().size(), b.text().size()));
    return a.text() < b.text();  // UTF-8 sorts as code points do
  }
  if (a.kind() == b.kind() && (a.Is(Kind::kList) || a.Is(Kind::kTuple))) {
    const auto& x = a.items();
    const auto& y = b.items();
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!Equals(run, x[i], y[i])) return Less(run, x[i], y[i], op);
    }
    return x.size() < y.size();
  }
  run.FailOperands(op, a, b);
}

bool Compare(Run& run, CompareOp op, const Value& a, const Value& b) {
  // With NaN, neither a < b nor b <= a.
  const bool unordered =
      (a.Is(Kind::kFloat) && std::isnan(a.real())) || (b.Is(Kind::kFloat) && std::isnan(b.real()));
  switch (op) {
    case CompareOp::kEqual:
      return Equals(run, a, b);
    case CompareOp::kNotEqual:
      return !Equals(run, a, b);
    case CompareOp::kLess:
      return Less(run, a, b, "<");
    case CompareOp::kLessEqual:
      return !Less(run, b, a, "<=") && !unordered;
    case CompareOp::kGreater:
      return Less(run, b, a, ">");
    case CompareOp::kGreaterEqual:
      return !Less(run, a, b, ">=") && !unordered;
    case CompareOp::kIn:
      return Contains(run, b, a);
    case CompareOp::kNotIn:
      return !Contains(run, b, a);
  }
  return false;
}

bool Contains(Run& run, const Value& container, const Value& item) {
  if (container.IsString()) {
    if (!item.IsString()) run.FailOperands("in", item, container);
    run.TouchText(container.text().size());
    return container.text().find(item.text()) != std::string::npos;
  }
  if (container.Is(Kind::kDict)) {
    RequireHashable(run, item);
    return container.as<DictObject>().Find(item) != nullptr;
  }
  if (container.Is(Kind::kGenerator)) {  // reads as far as the item
    auto& generator = container.as<GeneratorObject>();
    while (generator.next < generator.items.size()) {
      if (Equals(run, generator.items[generator.next++], item)) return true;
    }
    return false;
  }
  if (!IsIterable(container)) run.FailOperands("in", item, container);
  for (const Value& element : Iterate(run, container, "in")) {
    if (Equals(run, element, item)) return true;
  }
  return false;
}

Value Arithmetic(Run& run, BinaryOp op, const Value& a, const Value& b) {
  const std::string_view name = kNames[static_cast<int>(op)];
  if (op == BinaryOp::kModulo && a.IsString()) return FormatPercent(run, a, b);
  if (a.IsUndefined()) run.FailUndefined(a);
  if (b.IsUndefined()) run.FailUndefined(b);
  if (a.IsInteger() && b.IsInteger()) return IntegerArithmetic(run, op, a.integer(), b.integer());
  if (a.IsNumber() && b.IsNumber()) return FloatArithmetic(run, op, a.real(), b.real());
  if (a.Is(Kind::kBigInt) || b.Is(Kind::kBigInt)) {
    if ((a.IsNumber() || a.Is(Kind::kBigInt)) && (b.IsNumber() || b.Is(Kind::kBigInt)))
      run.FailOverflow(name);
  }
  if (op == BinaryOp::kAdd) {
    if (a.IsString() && b.IsString()) return AddText(run, a, b);
    if (a.Is(Kind::kList) && b.Is(Kind::kList)) return run.List(JoinItems(a, b));
    if (a.Is(Kind::kTuple) && b.Is(Kind::kTuple)) return run.Tuple(JoinItems(a, b));
  }
  if (op == BinaryOp::kMultiply) {
    const auto repeats = [](const Value& v) {
      return v.IsString() || v.Is(Kind::kList) || v.Is(Kind::kTuple);
    };
    if (repeats(a) && b.IsInteger()) return Repeat(run, a, b.integer());
    if (repeats(b) && a.IsInteger()) return Repeat(run, b, a.integer());
  }
  run.FailOperands(name, a, b);
}

Value Negate(Run& run, const Value& v) {
  if (v.IsInteger()) return IntegerArithmetic(run, BinaryOp::kSubtract, 0, v.integer());
  if (v.Is(Kind::kFloat)) return Value::Float(-v.real());
  if (v.Is(Kind::kBigInt)) run.FailOverflow("-");
  run.FailType("-", "int", v);
}

Value Positive(Run& run, const Value& v) {
  if (v.IsInteger()) return Value::Int(v.integer());
  if (v.Is(Kind::kFloat) || v.Is(Kind::kBigInt)) return v;
  run.FailType("+", "int", v);
}

}  // namespace tatara::text::jinja
