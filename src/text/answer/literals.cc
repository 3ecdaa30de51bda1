#include "answer/literals.h"
#include "tatara/base/utf8.h"

#include <nlohmann/json.hpp>

namespace tatara::text::answer {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDepthMax = 32;
constexpr std::size_t kCallsMax = 1000;

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-' || static_cast<unsigned char>(c) >= 0x80;
}

// What both notations share: a cursor, names, numbers.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }
  bool Take(std::string_view token) {
    SkipSpace();
    return TakeHere(token);
  }
  std::string Name() {
    SkipSpace();
    std::size_t n = 0;
    while (n < rest_.size() && IsNameByte(rest_[n])) ++n;
    const std::string name(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return name;
  }
  // A JSON number at the cursor.
  std::optional<Json> Number() {
    std::size_t n = 0;
    while (n < rest_.size() &&
           std::string_view("+-.eE0123456789").find(rest_[n]) != std::string_view::npos) {
      ++n;
    }
    Json value = Json::parse(rest_.substr(0, n), nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded() || !value.is_number()) return std::nullopt;
    rest_.remove_prefix(n);
    return value;
  }

 protected:
  void SkipSpace() {
    while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_[0]) != std::string_view::npos) {
      rest_.remove_prefix(1);
    }
  }
  bool TakeHere(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  std::string_view rest_;
};

class PythonReader : public Reader {
 public:
  using Reader::Reader;

  std::optional<Json> Value(int depth = 0) {
    if (depth > kDepthMax || AtEnd()) return std::nullopt;
    const char c = rest_[0];
    if (c == '"' || c == '\'') return String(c);
    if (c == '[' || c == '(') return List(c == '[' ? "]" : ")", depth);
    if (c == '{') return Dict(depth);
    if (c == '-' || c == '+' || c == '.' || (c >= '0' && c <= '9')) return Number();
    const std::string word = Name();
    if (word == "True" || word == "true") return Json(true);
    if (word == "False" || word == "false") return Json(false);
    if (word == "None" || word == "null") return Json(nullptr);
    return std::nullopt;
  }

 private:
  std::optional<Json> String(char quote) {
    rest_.remove_prefix(1);
    std::string out;
    while (!rest_.empty()) {
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == quote) return Json(out);
      if (c != '\\') {
        out += c;
      } else if (!Escape(out)) {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  bool Escape(std::string& out) {
    if (rest_.empty()) return false;
    const char c = rest_[0];
    rest_.remove_prefix(1);
    switch (c) {
      case 'n':
        out += '\n';
        return true;
      case 't':
        out += '\t';
        return true;
      case 'r':
        out += '\r';
        return true;
      case '\\':
      case '\'':
      case '"':
        out += c;
        return true;
      case '\n':
        return true;
      case 'x':
        return Code(2, out);
      case 'u':
        return Code(4, out);
      case 'U':
        return Code(8, out);
      default:  // Python keeps the backslash
        out += '\\';
        out += c;
        return true;
    }
  }

  bool Code(std::size_t n, std::string& out) {
    char32_t value = 0;
    if (rest_.size() < n) return false;
    for (const char c : rest_.substr(0, n)) {
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return false;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return false;
    rest_.remove_prefix(n);
    AppendUtf8(out, value);
    return true;
  }

  std::optional<Json> List(std::string_view end, int depth) {
    rest_.remove_prefix(1);
    Json list = Json::array();
    while (!Take(end)) {
      if (!list.empty() && !Take(",")) return std::nullopt;
      if (Take(end)) break;
      std::optional<Json> value = Value(depth + 1);
      if (!value) return std::nullopt;
      list.push_back(*std::move(value));
    }
    return list;
  }

  std::optional<Json> Dict(int depth) {
    rest_.remove_prefix(1);
    Json dict = Json::object();
    for (bool first = true; !Take("}"); first = false) {
      if (!first && !Take(",")) return std::nullopt;
      if (Take("}")) break;
      std::optional<Json> key = Value(depth + 1);
      if (!key || !key->is_string() || !Take(":")) return std::nullopt;
      std::optional<Json> value = Value(depth + 1);
      if (!value) return std::nullopt;
      dict[key->get<std::string>()] = *std::move(value);
    }
    return dict;
  }
};

constexpr std::string_view kGemmaQuote = "<|\"|>";

class GemmaReader : public Reader {
 public:
  using Reader::Reader;

  std::optional<Json> Object(int depth = 0) {
    if (depth > kDepthMax || !Take("{")) return std::nullopt;
    Json object = Json::object();
    for (bool first = true; !Take("}"); first = false) {
      if (!first && !Take(",")) return std::nullopt;
      std::string key;
      if (Take(kGemmaQuote)) {
        const std::optional<std::string> quoted = Quoted();
        if (!quoted) return std::nullopt;
        key = *quoted;
      } else {
        key = Name();
      }
      if (key.empty() || !Take(":")) return std::nullopt;
      std::optional<Json> value = Value(depth + 1);
      if (!value) return std::nullopt;
      object[key] = *std::move(value);
    }
    return object;
  }

 private:
  std::optional<std::string> Quoted() {
    const std::size_t end = rest_.find(kGemmaQuote);
    if (end == rest_.npos) return std::nullopt;
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + kGemmaQuote.size());
    return text;
  }

  std::optional<Json> Value(int depth) {
    if (depth > kDepthMax || AtEnd()) return std::nullopt;
    if (TakeHere(kGemmaQuote)) {
      std::optional<std::string> text = Quoted();
      if (!text) return std::nullopt;
      return Json(*std::move(text));
    }
    if (rest_[0] == '{') return Object(depth + 1);
    if (Take("[")) {
      Json list = Json::array();
      while (!Take("]")) {
        if (!list.empty() && !Take(",")) return std::nullopt;
        std::optional<Json> value = Value(depth + 1);
        if (!value) return std::nullopt;
        list.push_back(*std::move(value));
      }
      return list;
    }
    const char c = rest_[0];
    if (c == '-' || (c >= '0' && c <= '9')) return Number();
    const std::string word = Name();
    if (word == "true") return Json(true);
    if (word == "false") return Json(false);
    if (word == "null" || word == "None") return Json(nullptr);
    return std::nullopt;
  }
};

std::string Dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Calls ReadPythonCalls(std::string_view text) {
  PythonReader reader(text);
  std::vector<ToolCall> calls;
  if (!reader.Take("[")) return std::nullopt;
  while (!reader.Take("]")) {
    if (!calls.empty() && !reader.Take(",")) return std::nullopt;
    const std::string name = reader.Name();
    if (name.empty() || calls.size() == kCallsMax || !reader.Take("(")) return std::nullopt;
    Json arguments = Json::object();
    for (bool first = true; !reader.Take(")"); first = false) {
      if (!first && !reader.Take(",")) return std::nullopt;
      const std::string key = reader.Name();
      if (key.empty() || !reader.Take("=")) return std::nullopt;
      std::optional<Json> value = reader.Value();
      if (!value) return std::nullopt;
      arguments[key] = *std::move(value);
    }
    calls.push_back({.id = "", .name = name, .arguments = Dumped(arguments)});
  }
  if (calls.empty() || !reader.AtEnd()) return std::nullopt;
  return calls;
}

Calls ReadGemmaCall(std::string_view text) {
  GemmaReader reader(text);
  std::vector<ToolCall> calls;
  while (!reader.AtEnd()) {
    if (calls.size() == kCallsMax || !reader.Take("call:")) return std::nullopt;
    const std::string name = reader.Name();
    const std::optional<Json> arguments = reader.Object();
    if (name.empty() || !arguments) return std::nullopt;
    calls.push_back({.id = "", .name = name, .arguments = Dumped(*arguments)});
  }
  if (calls.empty()) return std::nullopt;
  return calls;
}

}  // namespace tatara::text::answer
