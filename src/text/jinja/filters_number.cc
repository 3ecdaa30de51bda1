// Filters on numbers.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/number.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

Value Abs(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "abs", arguments, {});
  if (input.Is(Kind::kFloat)) return Value::Float(std::fabs(input.real()));
  if (input.Is(Kind::kBigInt)) {
    const Value digits = run.String(input.text().substr(input.text().starts_with('-') ? 1 : 0));
    return Value(Kind::kBigInt, &digits.as<StringObject>());
  }
  if (!input.IsInteger()) run.FailType("abs", "int", input);
  return input.integer() < 0 ? Negate(run, input) : Value::Int(input.integer());
}

Value IntFilter(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "int", arguments, {"default", "base"});
  if (input.IsUndefined()) run.FailUndefined(input);
  const Value otherwise = bound.Or(0, Value::Int(0));
  if (input.IsInteger()) return Value::Int(input.integer());
  if (input.Is(Kind::kBigInt)) return input;
  double real = 0;
  if (input.Is(Kind::kFloat)) {
    real = input.real();
    if (std::isinf(real)) run.FailOverflow("int");
  } else if (input.IsString()) {
    Value parsed;
    if (ParsePythonInt(run, input.text(), bound.Int(1, 10), &parsed)) return parsed;
    if (!ParsePythonFloat(input.text(), &real)) return otherwise;
  } else {
    return otherwise;
  }
  if (!std::isfinite(real)) return otherwise;
  return IntegerFromFloat(run, std::trunc(real));
}

Value FloatFilter(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "float", arguments, {"default"});
  if (input.IsUndefined()) run.FailUndefined(input);
  if (input.IsNumber()) return Value::Float(input.real());
  double real = 0;
  if (input.Is(Kind::kBigInt) && ParsePythonFloat(input.text(), &real)) return Value::Float(real);
  if (input.IsString() && ParsePythonFloat(input.text(), &real)) return Value::Float(real);
  return bound.Or(0, Value::Float(0.0));
}

// round() of Python: to even on the exact decimal value.
Value RoundCommon(Run& run, const Value& input, std::int64_t precision) {
  if (input.IsInteger()) {
    if (precision >= 0) return Value::Int(input.integer());
    if (precision < -18) return Value::Int(0);
    std::int64_t unit = 1;
    for (std::int64_t i = 0; i > precision; --i) unit *= 10;
    const std::int64_t rest = ((input.integer() % unit) + unit) % unit;
    const std::int64_t below = input.integer() - rest;
    const bool up = rest > unit - rest || (rest == unit - rest && (below / unit) % 2 != 0);
    return up ? Arithmetic(run, BinaryOp::kAdd, Value::Int(below), Value::Int(unit))
              : Value::Int(below);
  }
  const double real = input.real();
  if (!std::isfinite(real) || precision > 320) return input;
  if (precision < -310) return Value::Float(std::copysign(0.0, real));
  if (precision >= 0) {
    double out = 0;
    ParsePythonFloat(fmt::format("{:.{}f}", real, static_cast<int>(precision)), &out);
    return Value::Float(out);
  }
  // Digits kept in front of the point; none is rounding to 0 or one unit.
  const std::string scientific = fmt::format("{:e}", real);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  const std::int64_t keep = exponent + 1 + precision;
  double out = std::copysign(0.0, real);
  if (keep > 0) {
    ParsePythonFloat(fmt::format("{:.{}e}", real, static_cast<int>(keep - 1)), &out);
  } else if (keep == 0) {
    double unit = 0;
    ParsePythonFloat("1e" + std::to_string(-precision), &unit);
    if (std::fabs(real) > unit / 2) out = std::copysign(unit, real);
  }
  return Value::Float(out);
}

Value Round(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "round", arguments, {"precision", "method"});
  const std::int64_t precision = bound.Int(0, 0);
  const std::string method = bound.Has(1) ? bound.Text(1) : "common";
  if (input.Is(Kind::kBigInt) && method == "common" && precision >= 0) return input;
  if (input.Is(Kind::kBigInt)) run.FailOverflow("round");
  if (!input.IsNumber()) run.FailType("round", "float", input);
  if (method == "common") return RoundCommon(run, input, precision);
  if (method != "ceil" && method != "floor")
    run.FailType("round", "common, ceil or floor", bound[1]);
  if (precision < -300 || precision > 300) run.FailOverflow("round");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.real() * scale;
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr FilterEntry kFilters[] = {
    {"abs", Abs},
    {"float", FloatFilter},
    {"int", IntFilter},
    {"round", Round},
};

}  // namespace

std::span<const FilterEntry> NumberFilters() {
  return kFilters;
}

// Digits of any script as ASCII, white space around stripped, underscores between digits removed.
static bool NormalizeNumber(std::string_view text, std::string* out) {
  const std::u32string all = ToCodePoints(StripLeft(StripRight(text)));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const int digit = DecimalDigit(all[i]);
    if (digit >= 0) {
      *out += static_cast<char>('0' + digit);
    } else if (all[i] == '_') {
      const auto alnum = [](char32_t c) { return IsOfClass(c, CharacterClass::kAlnum); };
      if (i == 0 || i + 1 == all.size() || !alnum(all[i - 1]) || !alnum(all[i + 1])) return false;
    } else if (all[i] < 0x80) {
      *out += static_cast<char>(all[i]);
    } else {
      return false;
    }
  }
  return !out->empty();
}

bool ParsePythonInt(Run& run, std::string_view text, std::int64_t base, Value* out) {
  std::string digits;
  if (base < 0 || base == 1 || base > 36 || !NormalizeNumber(text, &digits)) return false;
  bool negative = false;
  std::size_t at = 0;
  if (digits[0] == '+' || digits[0] == '-') negative = digits[at++] == '-';
  if (at + 1 < digits.size() && digits[at] == '0') {
    const char prefix = static_cast<char>(digits[at + 1] | 0x20);
    const std::int64_t prefix_base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
    if (prefix_base != 0 && (base == prefix_base || base == 0)) {
      base = prefix_base;
      at += 2;
    }
  }
  if (base == 0) base = 10;
  const char* const from = digits.data() + at;
  const char* const end = digits.data() + digits.size();
  if (from == end || *from == '-' || *from == '+') return false;
  std::uint64_t magnitude = 0;
  const auto [stop, status] = std::from_chars(from, end, magnitude, static_cast<int>(base));
  if (stop != end) return false;
  const std::uint64_t limit = static_cast<std::uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (status == std::errc() && magnitude <= limit) {
    *out = Value::Int(static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude));
    return true;
  }
  if (base != 10) run.FailOverflow("int");
  while (digits.size() > at + 1 && digits[at] == '0') digits.erase(at, 1);
  const Value big = run.String((negative ? "-" : "") + digits.substr(at));
  *out = Value(Kind::kBigInt, &big.as<StringObject>());
  return true;
}

bool ParsePythonFloat(std::string_view text, double* out) {
  std::string digits;
  if (!NormalizeNumber(text, &digits)) return false;
  std::size_t at = 0;
  if (digits[0] == '+' || digits[0] == '-') ++at;
  const std::string word = Lower(digits.substr(at));
  const double sign = digits[0] == '-' ? -1 : 1;
  if (word == "inf" || word == "infinity") return *out = sign * HUGE_VAL, true;
  if (word == "nan") return *out = std::nan(""), true;
  const bool starts_well =
      at < digits.size() && ((digits[at] >= '0' && digits[at] <= '9') || digits[at] == '.');
  if (!starts_well) return false;
  const char* const end = digits.data() + digits.size();
  double magnitude = 0;
  const auto [stop, status] = std::from_chars(digits.data() + at, end, magnitude);
  if (stop != end) return false;
  if (status == std::errc::result_out_of_range) {  // too large, or too small
    const std::size_t e = word.find('e');
    magnitude =
        e != std::string::npos && e + 1 < word.size() && word[e + 1] == '-' ? 0.0 : HUGE_VAL;
  } else if (status != std::errc()) {
    return false;
  }
  *out = sign * magnitude;
  return true;
}

Value IntegerFromFloat(Run& run, double whole) {
  if (std::fabs(whole) < 9.2e18) return Value::Int(static_cast<std::int64_t>(whole));
  const Value digits = run.String(fmt::format("{:.0f}", whole));
  return Value(Kind::kBigInt, &digits.as<StringObject>());
}

}  // namespace tatara::text::jinja
