#include "jinja/format.h"

#include <algorithm>
#include <cmath>

#include "jinja/format_spec.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

// What Python takes for a mapping here: its values need not all be used.
bool HasSubscript(const Value& v) {
  return v.Is(Kind::kDict) || v.Is(Kind::kList) || v.Is(Kind::kRange) || v.IsUndefined();
}

// format % arguments.
class PercentFormatter {
 public:
  PercentFormatter(Run& run, const Value& format, const Value& arguments)
      : run_(run), format_(format), rest_(format.text()), arguments_(arguments) {}

  Value Format() {
    while (!rest_.empty()) {
      const std::size_t percent = std::min(rest_.find('%'), rest_.size());
      Append(rest_.substr(0, percent));
      rest_.remove_prefix(percent);
      if (!rest_.empty()) Field();
    }
    const bool all_used = arguments_.Is(Kind::kTuple) ? used_ == arguments_.items().size()
                                                      : used_ > 0 || HasSubscript(arguments_);
    if (!all_used) {
      Fail(Refuse("chat template, line {0}: '{1}' gets values that the format does not use",
                  run_.line, "%"));
    }
    return run_.String(std::move(out_), format_.is_safe());
  }

 private:
  void Append(std::string_view text) {
    run_.Charge(text.size());
    out_ += text;
  }

  char Take() {
    if (rest_.empty())
      Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line, "%"));
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  Value NextArgument() {
    if (arguments_.Is(Kind::kTuple)) {
      if (used_ >= arguments_.items().size()) FailMissing();
      return arguments_.items()[used_++];
    }
    if (used_++ > 0) FailMissing();
    return arguments_;
  }
  [[noreturn]] void FailMissing() {
    Fail(Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run_.line, "%",
                used_ + 1));
  }

  std::int64_t Number() {
    if (!rest_.empty() && rest_[0] == '*') {
      rest_.remove_prefix(1);
      const Value value = NextArgument();
      if (!value.IsInteger() || std::abs(value.integer()) > kFieldWidthMax)
        run_.FailType("%*", "int", value);
      return value.integer();
    }
    std::int64_t n = 0;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      n = n * 10 + (Take() - '0');
      if (n > kFieldWidthMax)
        Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line, n));
    }
    return n;
  }

  void Field() {
    Take();  // the percent sign
    bool has_key = false;
    Value value;
    if (rest_.starts_with('(')) {
      const std::size_t end = rest_.find(')');
      if (end == std::string_view::npos || !arguments_.Is(Kind::kDict))
        run_.FailType("%", "dict", arguments_);
      const std::string_view key = rest_.substr(1, end - 1);
      const Value* found = arguments_.as<DictObject>().FindText(key);
      if (found == nullptr)
        Fail(
            Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run_.line, "%", key));
      value = *found;
      has_key = true;
      rest_.remove_prefix(end + 1);
    }
    FormatSpec spec;
    bool zero = false;
    while (!rest_.empty() && std::string_view("-+ #0").find(rest_[0]) != std::string_view::npos) {
      const char flag = Take();
      if (flag == '-') spec.align = '<';
      if (flag == '+' || (flag == ' ' && spec.sign != '+')) spec.sign = flag;
      if (flag == '#') spec.alternate = true;
      if (flag == '0') zero = true;
    }
    spec.width = Number();
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (rest_.starts_with('.')) {
      Take();
      spec.precision = std::max<std::int64_t>(Number(), 0);
    }
    while (!rest_.empty() && std::string_view("hlL").find(rest_[0]) != std::string_view::npos)
      Take();
    spec.type = Take();
    if (spec.type == '%') return Append("%");
    if (!has_key) value = NextArgument();
    Convert(value, spec, zero);
  }

  void Convert(Value value, FormatSpec spec, bool zero) {
    switch (spec.type) {
      case 's':
      case 'r': {
        if (spec.align == '\0') spec.align = '>';
        std::string text = spec.type == 's' ? ToText(run_, value) : Repr(run_, value);
        if (format_.is_safe() && !value.is_safe()) text = EscapeHtml(text);
        return Append(FormatText(run_, text, spec));
      }
      case 'c':
        if (spec.align == '\0') spec.align = '>';
        if (value.IsString() && Length(run_, value, "%c") == 1)
          return Append(FormatText(run_, value.text(), spec));
        if (!value.IsInteger()) run_.FailType("%c", "int", value);
        return Append(FormatNumber(run_, value, spec));
      case 'd':
      case 'i':
      case 'u':
        spec.type = 'd';
        if (value.Is(Kind::kFloat)) value = Truncate(value);
        break;
      case 'o':
      case 'x':
      case 'X':
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        break;
      default:
        Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line,
                    "%" + std::string(1, spec.type)));
    }
    if (zero && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    const bool integer = std::string_view("doxX").find(spec.type) != std::string_view::npos;
    if (integer && !value.IsInteger() && !value.Is(Kind::kBigInt)) run_.FailType("%", "int", value);
    if (integer && spec.precision) return Append(FormatMinimumDigits(value, spec));
    Append(FormatNumber(run_, value, spec));
  }

  Value Truncate(const Value& value) {
    const double whole = std::trunc(value.real());
    if (!(std::fabs(whole) < 9.2e18)) run_.FailOverflow("%d");
    return Value::Int(static_cast<std::int64_t>(whole));
  }

  // %.5d: at least so many digits.
  std::string FormatMinimumDigits(const Value& value, FormatSpec spec) {
    FormatSpec digits = spec;
    digits.precision.reset();
    digits.width = 0;
    digits.align = '\0';
    std::string text = FormatNumber(run_, value, digits);
    const std::size_t at = std::min(text.find_first_of("0123456789abcdefABCDEF"), text.size());
    const std::size_t have = text.size() - at;
    const auto want = static_cast<std::size_t>(*spec.precision);
    if (have < want) text.insert(at, want - have, '0');
    spec.precision.reset();
    if (spec.align == '\0') spec.align = '>';
    if (spec.align == '=') spec.align = '>';
    return FormatText(run_, text, spec);
  }

  Run& run_;
  const Value& format_;
  std::string_view rest_;
  const Value& arguments_;
  std::size_t used_ = 0;
  std::string out_;
};

// format.format(...), field names resolved as the sandbox resolves them.
class BraceFormatter {
 public:
  BraceFormatter(Run& run, const Value& format, const Arguments& arguments)
      : run_(run), format_(format), arguments_(arguments) {}

  std::string Format(std::string_view text, int depth) {
    std::string out;
    while (!text.empty()) {
      const std::size_t brace = std::min(text.find_first_of("{}"), text.size());
      out += text.substr(0, brace);
      run_.Charge(brace);
      text.remove_prefix(brace);
      if (text.empty()) break;
      if (text.size() > 1 && text[1] == text[0]) {
        out += text[0];
        text.remove_prefix(2);
        continue;
      }
      const std::size_t end = text[0] == '{' ? FieldEnd(text) : std::string_view::npos;
      if (end == std::string_view::npos) {
        Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line,
                    text.substr(0, 40)));
      }
      out += Field(text.substr(1, end - 1), depth);
      text.remove_prefix(end + 1);
    }
    return out;
  }

 private:
  static std::size_t FieldEnd(std::string_view text) {
    int open = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '{') ++open;
      if (text[i] == '}' && --open == 0) return i;
    }
    return std::string_view::npos;
  }

  std::string Field(std::string_view field, int depth) {
    if (depth > 1)
      Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line, field));
    const std::size_t name_end = std::min(field.find_first_of("!:"), field.size());
    Value value = Resolve(field.substr(0, name_end));
    std::string_view rest = field.substr(name_end);
    if (rest.starts_with('!')) {
      const char conversion = rest.size() > 1 ? rest[1] : '\0';
      if (conversion == 'r') {
        value = run_.String(Repr(run_, value));
      } else if (conversion == 's') {
        value = run_.String(ToText(run_, value));
      } else {
        Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line, field));
      }
      rest.remove_prefix(2);
    }
    if (!rest.empty() && rest[0] != ':') {
      Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line, field));
    }
    const std::string spec = rest.empty() ? "" : Format(rest.substr(1), depth + 1);
    return Convert(value, spec);
  }

  std::string Convert(const Value& value, const std::string& spec_text) {
    std::string out;
    const bool plain =
        spec_text.empty() || !(value.IsNumber() || value.Is(Kind::kBigInt) || value.IsString());
    if (plain) {
      if (!spec_text.empty()) run_.FailType("format", "str", value);
      out = ToText(run_, value);
    } else {
      FormatSpec spec = ParseFormatSpec(run_, spec_text);
      const bool text = value.IsString();
      if (text && spec.type != '\0' && spec.type != 's') run_.FailType("format", "int", value);
      if (!text && spec.type == 's') run_.FailType("format", "str", value);
      if (value.Is(Kind::kBool) && spec.type == '\0') spec.type = 'd';
      out = text ? FormatText(run_, value.text(), spec) : FormatNumber(run_, value, spec);
    }
    return format_.is_safe() && !value.is_safe() ? EscapeHtml(out) : out;
  }

  // "0.name[key]", with the automatic number where it starts with nothing.
  Value Resolve(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, end);
    Value value = First(first);
    std::string_view rest = name.substr(end);
    while (!rest.empty()) {
      const bool dot = rest[0] == '.';
      rest.remove_prefix(1);
      const std::size_t stop =
          std::min(dot ? rest.find_first_of(".[") : rest.find(']'), rest.size());
      const std::string_view part = rest.substr(0, stop);
      rest.remove_prefix(std::min(stop + (dot ? 0 : 1), rest.size()));
      value = dot ? GetAttribute(run_, value, part) : GetItem(run_, value, Key(part));
    }
    return value;
  }

  static bool IsNumber(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  Value Key(std::string_view part) {
    if (IsNumber(part)) return Value::Int(std::stoll(std::string(part)));
    return run_.String(std::string(part));
  }
  Value First(std::string_view name) {
    if (name.empty() || IsNumber(name)) {
      const std::size_t i = name.empty() ? automatic_++ : std::stoull(std::string(name));
      numbered_ = numbered_ || !name.empty();
      if (numbered_ && automatic_ > 0) {
        Fail(Refuse("chat template, line {0}: the format '{1}' is not known", run_.line, "{} {0}"));
      }
      if (i < arguments_.positional.size()) return arguments_.positional[i];
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
    }
    Fail(Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run_.line, "format",
                name));
  }

  Run& run_;
  const Value& format_;
  const Arguments& arguments_;
  std::size_t automatic_ = 0;  // fields without a number; none may have one then
  bool numbered_ = false;
};

}  // namespace

Value FormatPercent(Run& run, const Value& format, const Value& arguments) {
  run.TouchText(format.text().size());
  return PercentFormatter(run, format, arguments).Format();
}

Value FormatBraces(Run& run, const Value& format, const Arguments& arguments) {
  run.TouchText(format.text().size());
  return run.String(BraceFormatter(run, format, arguments).Format(format.text(), 0),
                    format.is_safe());
}

}  // namespace tatara::text::jinja
