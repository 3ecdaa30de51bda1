#include "jinja/format_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

[[noreturn]] void FailSpec(Run& run, std::string_view text) {
  Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run.line, text));
}

std::string Pad(const std::string& text, const FormatSpec& spec, char align) {
  const auto length = static_cast<std::int64_t>(CountCodePoints(text));
  if (spec.width <= length) return text;
  const std::int64_t pad = spec.width - length;
  const std::int64_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
  std::string out;
  for (std::int64_t i = 0; i < left; ++i) out += spec.fill;
  out += text;
  for (std::int64_t i = left; i < pad; ++i) out += spec.fill;
  return out;
}

bool IsPowerOfTwoBase(char type) {
  return type != '\0' && std::string_view("xXob").find(type) != std::string_view::npos;
}

std::string Group(std::string_view digits, char separator, std::size_t every) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string IntegerDigits(std::uint64_t magnitude, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", magnitude);
    case 'X':
      return fmt::format("{:X}", magnitude);
    case 'o':
      return fmt::format("{:o}", magnitude);
    case 'b':
      return fmt::format("{:b}", magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

std::string FloatDigits(double magnitude, const FormatSpec& spec) {
  const int precision = static_cast<int>(spec.precision.value_or(6));
  const bool alt = spec.alternate;
  switch (spec.type) {
    case 'e':
      return alt ? fmt::format("{:#.{}e}", magnitude, precision)
                 : fmt::format("{:.{}e}", magnitude, precision);
    case 'E':
      return alt ? fmt::format("{:#.{}E}", magnitude, precision)
                 : fmt::format("{:.{}E}", magnitude, precision);
    case 'F':
      return alt ? fmt::format("{:#.{}F}", magnitude, precision)
                 : fmt::format("{:.{}F}", magnitude, precision);
    case 'g':
      return alt ? fmt::format("{:#.{}g}", magnitude, precision)
                 : fmt::format("{:.{}g}", magnitude, precision);
    case 'G':
      return alt ? fmt::format("{:#.{}G}", magnitude, precision)
                 : fmt::format("{:.{}G}", magnitude, precision);
    case '%':
      return fmt::format("{:.{}f}", magnitude * 100, precision) + "%";
    default:
      return alt ? fmt::format("{:#.{}f}", magnitude, precision)
                 : fmt::format("{:.{}f}", magnitude, precision);
  }
}

// Sign, prefix and digits, zeros or fill between them where the alignment is '='.
std::string Assemble(const FormatSpec& spec, bool negative, const std::string& prefix,
                     std::string digits) {
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.grouping != '\0') {
    const std::size_t end =
        std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
    const std::size_t every = IsPowerOfTwoBase(spec.type) ? 4 : 3;
    std::string whole = digits.substr(0, end);
    const auto grouped = [&] { return Group(whole, spec.grouping, every) + digits.substr(end); };
    // Zeros in front are grouped too.
    while (spec.align == '=' && spec.fill == "0" &&
           static_cast<std::int64_t>(sign.size() + prefix.size() + grouped().size()) < spec.width) {
      whole.insert(0, 1, '0');
    }
    digits = grouped();
  }
  const char align = spec.align == '\0' ? '>' : spec.align;
  if (align != '=') return Pad(sign + prefix + digits, spec, align);
  FormatSpec inner = spec;
  inner.width = spec.width - static_cast<std::int64_t>(sign.size() + prefix.size());
  return sign + prefix + Pad(digits, inner, '>');
}

std::string FormatInteger(Run& run, const Value& value, const FormatSpec& spec) {
  if (spec.type == 'c') {
    const std::int64_t code = value.integer();
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      run.FailType("%c", "character", value);
    std::string text;
    AppendUtf8(text, static_cast<char32_t>(code));
    return Pad(text, spec, spec.align == '\0' ? '<' : spec.align);
  }
  const bool negative =
      value.Is(Kind::kBigInt) ? value.text().starts_with('-') : value.integer() < 0;
  std::string digits;
  if (value.Is(Kind::kBigInt)) {
    if (IsPowerOfTwoBase(spec.type)) run.FailOverflow("format");
    digits = value.text().substr(negative ? 1 : 0);
  } else {
    const auto magnitude = static_cast<std::uint64_t>(value.integer());
    digits = IntegerDigits(negative ? 0 - magnitude : magnitude, spec.type);
  }
  const bool prefixed = spec.alternate && IsPowerOfTwoBase(spec.type);
  return Assemble(spec, negative, prefixed ? std::string("0") + spec.type : "", digits);
}

}  // namespace

FormatSpec ParseFormatSpec(Run& run, std::string_view text) {
  FormatSpec out;
  const std::u32string all = ToCodePoints(text);
  std::size_t i = 0;
  const auto is_align = [&](std::size_t at) {
    return at < all.size() && all[at] < 0x80 &&
           std::string_view("<>=^").find(static_cast<char>(all[at])) != std::string_view::npos;
  };
  const auto at_any = [&](std::string_view set) {
    return i < all.size() && all[i] < 0x80 &&
           set.find(static_cast<char>(all[i])) != std::string_view::npos;
  };
  const auto number = [&] {
    std::int64_t n = 0;
    while (at_any("0123456789")) {
      n = n * 10 + static_cast<std::int64_t>(all[i++] - '0');
      if (n > kFieldWidthMax) FailSpec(run, text);
    }
    return n;
  };
  if (is_align(1)) {
    out.fill = FromCodePoints(std::u32string_view(all).substr(0, 1));
    out.align = static_cast<char>(all[1]);
    i = 2;
  } else if (is_align(0)) {
    out.align = static_cast<char>(all[i++]);
  }
  if (at_any("+- ")) out.sign = static_cast<char>(all[i++]);
  if (at_any("#")) out.alternate = ++i > 0;
  if (at_any("0")) {
    ++i;
    if (out.align == '\0') {
      out.fill = "0";
      out.align = '=';
    }
  }
  out.width = number();
  if (at_any(",_")) out.grouping = static_cast<char>(all[i++]);
  if (at_any(".")) {
    ++i;
    if (!at_any("0123456789")) FailSpec(run, text);
    out.precision = number();
  }
  if (at_any("bcdeEfFgGosxX%")) out.type = static_cast<char>(all[i++]);
  if (i != all.size()) FailSpec(run, text);
  return out;
}

std::string FormatNumber(Run& run, const Value& value, const FormatSpec& spec) {
  run.Charge(static_cast<std::size_t>(spec.width) * 4 + 400);
  const bool integer_type =
      spec.type == '\0' || std::string_view("bcdoxX").find(spec.type) != std::string_view::npos;
  if (value.Is(Kind::kBigInt) || (value.IsInteger() && integer_type)) {
    if (!integer_type) run.FailOverflow("format");
    if (spec.precision) FailSpec(run, ".");
    return FormatInteger(run, value, spec);
  }
  if (!value.IsNumber() || (spec.type != '\0' && integer_type)) {
    run.FailType("format", spec.type == '\0' || integer_type ? "int" : "float", value);
  }
  const double real = value.real();
  const bool negative = std::signbit(real) && !std::isnan(real);
  const double magnitude = std::fabs(real);
  if (spec.type == '\0') {
    if (!spec.precision) return Assemble(spec, negative, "", FloatRepr(magnitude));
    // Like g, but with a digit behind the point.
    FormatSpec general = spec;
    general.type = 'g';
    general.precision = std::max<std::int64_t>(*spec.precision, 1);
    std::string digits = FloatDigits(magnitude, general);
    if (digits.find_first_not_of("0123456789") == std::string::npos) {
      digits = static_cast<std::int64_t>(digits.size()) >= *general.precision &&
                       *general.precision > 0 && digits.size() > 1
                   ? fmt::format("{:.{}e}", magnitude, static_cast<int>(*general.precision) - 1)
                   : digits + ".0";
    }
    return Assemble(spec, negative, "", digits);
  }
  if ((spec.type == 'g' || spec.type == 'G') && spec.precision && *spec.precision == 0) {
    FormatSpec one = spec;
    one.precision = 1;
    return Assemble(spec, negative, "", FloatDigits(magnitude, one));
  }
  return Assemble(spec, negative, "", FloatDigits(magnitude, spec));
}

std::string FormatText(Run& run, const std::string& text, const FormatSpec& spec) {
  run.Charge(text.size() + static_cast<std::size_t>(spec.width) * 4);
  run.TouchText(text.size());
  if (spec.align == '=' && spec.fill != "0") FailSpec(run, "=");
  std::string cut = text;
  if (spec.precision && static_cast<std::int64_t>(CountCodePoints(text)) > *spec.precision) {
    cut = FromCodePoints(std::u32string_view(ToCodePoints(text))
                             .substr(0, static_cast<std::size_t>(*spec.precision)));
  }
  return Pad(cut, spec, spec.align == '\0' || spec.align == '=' ? '<' : spec.align);
}

}  // namespace tatara::text::jinja
