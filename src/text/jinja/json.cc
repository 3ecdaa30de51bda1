// JSON in (the context) and out (tojson).
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

// Builds values as the parser meets them, so that key order and the digits of numbers stay.
class ContextBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit ContextBuilder(Run& run) : run_(run) {}

  bool null() override { return Add(Value::None()); }
  bool boolean(bool value) override { return Add(Value::Bool(value)); }
  bool number_integer(number_integer_t value) override { return Add(Value::Int(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<number_unsigned_t>(INT64_MAX))
      return Add(Value::Int(static_cast<std::int64_t>(value)));
    return Add(Big(std::to_string(value)));
  }
  // Also integers beyond 64 bits.
  bool number_float(number_float_t value, const string_t& text) override {
    if (text.find_first_of(".eE") == string_t::npos) return Add(Big(text));
    return Add(Value::Float(value));
  }
  bool string(string_t& value) override { return Add(run_.String(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    return Open(Value(Kind::kDict, run_.Make<DictObject>()));
  }
  bool start_array(std::size_t) override { return Open(run_.List({})); }
  bool key(string_t& value) override {
    keys_.back() = run_.String(std::move(value));
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    Fail(Refuse("chat template: the context is not JSON at byte {0}", position));
  }

  Value root;

 private:
  Value Big(std::string digits) {
    if (digits == "-0") return Value::Int(0);
    const Value text = run_.String(std::move(digits));
    return Value(Kind::kBigInt, &text.as<StringObject>());
  }

  bool Add(const Value& value) {
    run_.Charge(160);
    if (open_.empty()) {
      root = value;
    } else if (open_.back().Is(Kind::kDict)) {
      open_.back().as<DictObject>().Set(keys_.back(), value);
    } else {
      open_.back().items().push_back(value);
    }
    return true;
  }
  bool Open(const Value& value) {
    Add(value);
    if (open_.size() >= static_cast<std::size_t>(kValueDepthMax)) {
      Fail(Refuse("chat template: the context is nested deeper than {0} levels, the limit",
                  kValueDepthMax));
    }
    open_.push_back(value);
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  Run& run_;
  std::vector<Value> open_;
  std::vector<Value> keys_;
};

void AppendEscape(std::string& out, std::uint32_t unit) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += "0123456789abcdef"[(unit >> shift) & 15];
}

class JsonWriter {
 public:
  JsonWriter(Run& run, const JsonStyle& style) : run_(run), style_(style) {}
  std::string out;

  void Write(const Value& v, int depth) {
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
      case Kind::kString:
        WriteText(v.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        WriteList(v.items(), depth);
        break;
      case Kind::kDict:
        WriteDict(v.as<DictObject>(), depth);
        break;
      default:
        out += Scalar(v, "tojson");
    }
  }

 private:
  std::string Scalar(const Value& v, std::string_view what) {
    switch (v.kind()) {
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return v.integer() != 0 ? "true" : "false";
      case Kind::kInt:
        return std::to_string(v.integer());
      case Kind::kBigInt:
        return v.text();
      case Kind::kFloat:
        if (std::isnan(v.real())) return "NaN";
        if (std::isinf(v.real())) return v.real() < 0 ? "-Infinity" : "Infinity";
        return FloatRepr(v.real());
      default:
        run_.FailType(what, "JSON value", v);
    }
  }

  void WriteText(const std::string& text) {
    run_.TouchText(text.size());
    out += '"';
    if (style_.ensure_ascii) {
      for (const char32_t c : ToCodePoints(text)) WriteCharacter(c);
    } else {
      for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
          WriteCharacter(byte);
        } else {
          out += c;
        }
      }
    }
    out += '"';
  }

  void WriteCharacter(char32_t c) {
    constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
    constexpr std::string_view kTo = "\"\\nrtbf";
    const std::size_t simple = c < 0x80 ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
    if (simple != std::string_view::npos) {
      out += '\\';
      out += kTo[simple];
    } else if (style_.ensure_ascii && (c == 0xFDD0 || c == 0xFDD1)) {
      AppendUtf8(out, c);  // Tokenizer::Guard's marks, which an escape would hide from Encode
    } else if (c < 0x20 || (style_.ensure_ascii && c > 0x7E && c < 0x10000)) {
      AppendEscape(out, c);
    } else if (c >= 0x10000) {
      AppendEscape(out, 0xD800 + ((c - 0x10000) >> 10));
      AppendEscape(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
      out += static_cast<char>(c);
    }
  }

  void NewLine(int depth) {
    if (!style_.indented) return;
    run_.Charge(style_.indent.size() * static_cast<std::size_t>(depth));
    out += '\n';
    for (int i = 0; i < depth; ++i) out += style_.indent;
  }

  void WriteList(const std::vector<Value>& items, int depth) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      NewLine(depth + 1);
      Write(items[i], depth + 1);
    }
    NewLine(depth);
    out += ']';
  }

  void WriteDict(const DictObject& dict, int depth) {
    if (dict.entries.empty()) {
      out += "{}";
      return;
    }
    std::vector<std::pair<Value, Value>> entries = dict.entries;
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
        return Less(run_, a.first, b.first, "sort_keys");
      });
    }
    out += '{';
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      NewLine(depth + 1);
      const Value& key = entries[i].first;
      WriteText(key.IsString() ? key.text() : Scalar(key, "tojson"));
      out += style_.key_separator;
      Write(entries[i].second, depth + 1);
    }
    NewLine(depth);
    out += '}';
  }

  Run& run_;
  const JsonStyle& style_;
};

}  // namespace

std::string ToJson(Run& run, const Value& value, const JsonStyle& style) {
  JsonWriter writer(run, style);
  writer.Write(value, 0);
  return std::move(writer.out);
}

Value ParseContext(Run& run, std::string_view json) {
  if (json.size() > kContextBytesMax) {
    Fail(
        Refuse("chat template: the context is larger than {0} bytes, the limit", kContextBytesMax));
  }
  ContextBuilder builder(run);
  if (!nlohmann::json::sax_parse(json, &builder) || !builder.root.Is(Kind::kDict)) {
    Fail(Refuse("chat template: the context is not a JSON object"));
  }
  return builder.root;
}

}  // namespace tatara::text::jinja
