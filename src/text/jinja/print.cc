#include "jinja/print.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

void AppendHex(std::string& out, char prefix, unsigned digits, std::uint32_t value) {
  out += '\\';
  out += prefix;
  for (int shift = static_cast<int>(digits) * 4 - 4; shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(value >> shift) & 15];
  }
}

std::string TextRepr(Run& run, const std::string& text) {
  run.TouchText(text.size() * 4);
  const bool has_single = text.find('\'') != std::string::npos;
  const char quote = has_single && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char32_t c : ToCodePoints(text)) {
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (IsPrintable(c)) {
      AppendUtf8(out, c);
    } else if (c < 0x100) {
      AppendHex(out, 'x', 2, c);
    } else if (c < 0x10000) {
      AppendHex(out, 'u', 4, c);
    } else {
      AppendHex(out, 'U', 8, c);
    }
  }
  out += quote;
  return out;
}

class Printer {
 public:
  explicit Printer(Run& run) : run_(run) {}
  std::string out;

  void Print(const Value& v, int depth) {
    run_.Step();
    if (depth > kValueDepthMax) {
      Fail(Refuse("chat template, line {0}: nested deeper than {1} levels, the limit", run_.line,
                  kValueDepthMax));
    }
    if (out.size() > kOutputBytesMax) {
      Fail(Refuse("chat template, line {0}: prints more than {1} bytes, the limit", run_.line,
                  kOutputBytesMax));
    }
    switch (v.kind()) {
      case Kind::kUndefined:
        out += "Undefined";
        break;
      case Kind::kNone:
        out += "None";
        break;
      case Kind::kBool:
        out += v.integer() != 0 ? "True" : "False";
        break;
      case Kind::kInt:
        out += std::to_string(v.integer());
        break;
      case Kind::kBigInt:
        out += v.text();
        break;
      case Kind::kFloat:
        out += FloatRepr(v.real());
        break;
      case Kind::kString:
        out += v.is_safe() ? "Markup(" + TextRepr(run_, v.text()) + ")" : TextRepr(run_, v.text());
        break;
      case Kind::kList:
        Sequence("[", v.items(), "]", depth);
        break;
      case Kind::kTuple:
        Sequence("(", v.items(), v.items().size() == 1 ? ",)" : ")", depth);
        break;
      case Kind::kDict:
        Dict(v.as<DictObject>(), depth);
        break;
      case Kind::kRange:
        Range(v.as<RangeObject>());
        break;
      case Kind::kView:
        View(v, depth);
        break;
      default:
        // Python prints an address here, which no two runs share.
        run_.FailUnsupported("str(" + std::string(TypeName(v)) + ")");
    }
  }

 private:
  void Sequence(std::string_view open, const std::vector<Value>& items, std::string_view close,
                int depth) {
    out += open;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ", ";
      Print(items[i], depth + 1);
    }
    out += close;
  }

  void Dict(const DictObject& dict, int depth) {
    out += '{';
    for (std::size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) out += ", ";
      Print(dict.entries[i].first, depth + 1);
      out += ": ";
      Print(dict.entries[i].second, depth + 1);
    }
    out += '}';
  }

  void Range(const RangeObject& range) {
    out += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
    if (range.step != 1) out += ", " + std::to_string(range.step);
    out += ')';
  }

  void View(const Value& v, int depth) {
    const auto& view = v.as<ViewObject>();
    out += std::string(TypeName(v)) + "([";
    for (std::size_t i = 0; i < view.dict->entries.size(); ++i) {
      const auto& [key, value] = view.dict->entries[i];
      if (i > 0) out += ", ";
      if (view.what == ViewObject::What::kItems) out += '(';
      if (view.what != ViewObject::What::kValues) Print(key, depth + 1);
      if (view.what == ViewObject::What::kItems) out += ", ";
      if (view.what != ViewObject::What::kKeys) Print(value, depth + 1);
      if (view.what == ViewObject::What::kItems) out += ')';
    }
    out += "])";
  }

  Run& run_;
};

}  // namespace

// The shortest digits that read back as the same value, placed as Python places them: an exponent
// below -4 or from 16 on.
std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view all(buffer, static_cast<std::size_t>(result.ptr - buffer));
  const std::size_t e = all.find('e');
  std::string digits;
  for (const char c : all.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const int exponent = std::atoi(std::string(all.substr(e + 1)).c_str());
  std::string out = all.starts_with('-') ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (digits.size() > 1) out += "." + digits.substr(1);
    const std::string magnitude = std::to_string(std::abs(exponent));
    return out + (exponent < 0 ? "e-" : "e+") + (magnitude.size() < 2 ? "0" : "") + magnitude;
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string Repr(Run& run, const Value& value) {
  Printer printer(run);
  printer.Print(value, 0);
  run.TouchText(printer.out.size());
  return std::move(printer.out);
}

std::string ToText(Run& run, const Value& value) {
  if (value.IsString()) {
    run.TouchText(value.text().size());
    return value.text();
  }
  if (value.IsUndefined()) return {};
  return Repr(run, value);
}

Value SoftString(Run& run, const Value& value) {
  return value.IsString() ? value : run.String(ToText(run, value));
}

}  // namespace tatara::text::jinja
