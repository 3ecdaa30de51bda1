#include "answer/bodies.h"

#include <nlohmann/json.hpp>

#include "answer/literals.h"
#include "tatara/base/json_nesting.h"

namespace tatara::text::answer {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kCallsMax = 1000;

std::optional<Json> Parsed(std::string_view text) {
  if (JsonNestsTooDeeply(text)) return std::nullopt;
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

std::string Dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// One call object; "arguments" may be an object, a string that holds one, or missing.
std::optional<ToolCall> CallOf(const Json& value) {
  if (!value.is_object()) return std::nullopt;
  const Json* object = &value;
  if (const auto inner = value.find("function"); inner != value.end() && inner->is_object()) {
    object = &*inner;
  }
  const auto text = [&](const char* key) -> std::optional<std::string> {
    const auto found = object->find(key);
    if (found == object->end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
  };
  std::optional<std::string> name = text("name");
  if (!name) name = text("tool_name");
  if (!name || name->empty()) return std::nullopt;
  ToolCall call{.id = "", .name = *name, .arguments = "{}"};
  for (const char* key : {"arguments", "parameters"}) {
    const auto found = object->find(key);
    if (found == object->end()) continue;
    if (found->is_object()) {
      call.arguments = Dumped(*found);
    } else if (found->is_string()) {
      const std::optional<Json> inner = Parsed(found->get<std::string>());
      if (!inner || !inner->is_object()) return std::nullopt;
      call.arguments = Dumped(*inner);
    } else if (!found->is_null()) {
      return std::nullopt;
    }
    break;
  }
  for (const char* key : {"id", "tool_call_id"}) {
    const auto found = value.find(key);
    if (found != value.end() && found->is_string()) call.id = found->get<std::string>();
  }
  return call;
}

bool TakeToken(std::string_view& rest, std::string_view token) {
  if (!rest.starts_with(token)) return false;
  rest.remove_prefix(token.size());
  return true;
}

// The text up to `token`, which is taken too.
std::optional<std::string_view> TakeUntil(std::string_view& rest, std::string_view token) {
  const std::size_t at = rest.find(token);
  if (at == rest.npos) return std::nullopt;
  const std::string_view before = rest.substr(0, at);
  rest.remove_prefix(at + token.size());
  return before;
}

void SkipSpace(std::string_view& rest) {
  while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\n' || rest[0] == '\r' || rest[0] == '\t'))
    rest.remove_prefix(1);
}

// A value written as text: JSON where it is JSON and may be other than a string.
Json ValueOf(std::string_view text, std::string_view name, std::string_view parameter,
             const TextParameters& texts) {
  const auto tool = texts.find(name);
  const bool is_text = tool != texts.end() && tool->second.contains(std::string(parameter));
  if (!is_text) {
    std::optional<Json> value = Parsed(text);
    if (value) return *std::move(value);
  }
  return std::string(text);
}

std::string_view WithoutLineEnds(std::string_view text) {
  if (text.starts_with('\n')) text.remove_prefix(1);
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

// <function=NAME><parameter=KEY>VALUE</parameter>...</function>, one or more.
Calls ReadFunctions(std::string_view rest, const TextParameters& texts) {
  std::vector<ToolCall> calls;
  for (SkipSpace(rest); !rest.empty(); SkipSpace(rest)) {
    if (calls.size() == kCallsMax || !TakeToken(rest, "<function=")) return std::nullopt;
    const auto name = TakeUntil(rest, ">");
    if (!name || name->empty()) return std::nullopt;
    Json arguments = Json::object();
    for (SkipSpace(rest); !TakeToken(rest, "</function>"); SkipSpace(rest)) {
      if (!TakeToken(rest, "<parameter=")) return std::nullopt;
      const auto key = TakeUntil(rest, ">");
      const auto value = TakeUntil(rest, "</parameter>");
      if (!key || key->empty() || !value) return std::nullopt;
      arguments[std::string(*key)] = ValueOf(WithoutLineEnds(*value), *name, *key, texts);
    }
    calls.push_back({.id = "", .name = std::string(*name), .arguments = Dumped(arguments)});
  }
  return calls;
}

// NAME, then <arg_key>KEY</arg_key> and <arg_value>VALUE</arg_value> in turn (GLM-4.5).
Calls ReadArgKeys(std::string_view rest, const TextParameters& texts) {
  const std::size_t end = rest.find("<arg_key>");
  const std::string_view name = Trimmed(rest.substr(0, end));
  if (name.empty() || name.find_first_of("<>{}\n\"") != name.npos) return std::nullopt;
  rest.remove_prefix(end == rest.npos ? rest.size() : end);
  Json arguments = Json::object();
  for (SkipSpace(rest); !rest.empty(); SkipSpace(rest)) {
    if (!TakeToken(rest, "<arg_key>")) return std::nullopt;
    const auto key = TakeUntil(rest, "</arg_key>");
    SkipSpace(rest);
    if (!key || key->empty() || !TakeToken(rest, "<arg_value>")) return std::nullopt;
    const auto value = TakeUntil(rest, "</arg_value>");
    if (!value) return std::nullopt;
    arguments[std::string(*key)] = ValueOf(*value, name, *key, texts);
  }
  return std::vector<ToolCall>{
      {.id = "", .name = std::string(name), .arguments = Dumped(arguments)}};
}

Calls ReadToolCall(std::string_view body, const TextParameters& texts) {
  const std::string_view trimmed = Trimmed(body);
  if (trimmed.starts_with('{') || trimmed.starts_with('[')) return ReadJsonCalls(trimmed);
  if (trimmed.starts_with("<function=")) return ReadFunctions(trimmed, texts);
  return ReadArgKeys(trimmed, texts);
}

// NAME>{...}, or NAME> and parameters.
Calls ReadFunction(std::string_view body, const TextParameters& texts) {
  const std::string_view whole = body;
  const auto name = TakeUntil(body, ">");
  if (!name || name->empty() || name->find_first_of(" \n<") != name->npos) return std::nullopt;
  if (Trimmed(body).empty() || Trimmed(body).starts_with("<parameter=")) {
    return ReadFunctions("<function=" + std::string(whole) + "</function>", texts);
  }
  const std::optional<Json> arguments = Parsed(Trimmed(body));
  if (!arguments || !arguments->is_object()) return std::nullopt;
  return std::vector<ToolCall>{
      {.id = "", .name = std::string(*name), .arguments = Dumped(*arguments)}};
}

// name[CALL_ID]id[ARGS]{...}, or name{...}; or the array of older models.
Calls ReadMistral(std::string_view body) {
  const std::string_view trimmed = Trimmed(body);
  if (trimmed.starts_with('[') || trimmed.starts_with('{')) return ReadJsonCalls(trimmed);
  const std::size_t brace = trimmed.find('{');
  if (brace == trimmed.npos) return std::nullopt;
  std::string_view head = trimmed.substr(0, brace);
  if (head.ends_with("[ARGS]")) head.remove_suffix(6);
  ToolCall call;
  if (const std::size_t id = head.find("[CALL_ID]"); id != head.npos) {
    call.id = Trimmed(head.substr(id + 9));
    head = head.substr(0, id);
  }
  call.name = Trimmed(head);
  const std::optional<Json> arguments = Parsed(trimmed.substr(brace));
  if (call.name.empty() || call.name.find_first_of(" \n[]\"") != call.name.npos || !arguments ||
      !arguments->is_object()) {
    return std::nullopt;
  }
  call.arguments = Dumped(*arguments);
  return std::vector<ToolCall>{call};
}

// Calls between a begin and an end marker, each a head, a separator and JSON.
struct Framed {
  std::string_view begin, separator, end;
};

Calls ReadFramed(std::string_view rest, const Framed& frame) {
  std::vector<ToolCall> calls;
  for (SkipSpace(rest); !rest.empty(); SkipSpace(rest)) {
    if (calls.size() == kCallsMax || !TakeToken(rest, frame.begin)) return std::nullopt;
    const auto inside = TakeUntil(rest, frame.end);
    std::string_view body = inside ? *inside : rest;
    if (!inside) rest = {};
    const auto head = TakeUntil(body, frame.separator);
    if (!head) return std::nullopt;
    ToolCall call{.id = "", .name = std::string(Trimmed(*head)), .arguments = ""};
    body = Trimmed(body);
    if (call.name == "function") {  // DeepSeek R1 and V3: the name follows, the JSON is fenced
      const auto name = TakeUntil(body, "```json");
      if (!name || !body.ends_with("```")) return std::nullopt;
      call.name = Trimmed(*name);
      body.remove_suffix(3);
    } else if (call.name.starts_with("functions.")) {  // Kimi: functions.NAME:INDEX
      call.id = call.name;
      call.name = call.name.substr(10, call.name.rfind(':') - 10);
    }
    const std::optional<Json> arguments = Parsed(Trimmed(body));
    if (call.name.empty() || !arguments || !arguments->is_object()) return std::nullopt;
    call.arguments = Dumped(*arguments);
    calls.push_back(std::move(call));
  }
  if (calls.empty()) return std::nullopt;
  return calls;
}

// JSON, tool.call(key="value"), or a program.
Calls ReadPythonTag(std::string_view body) {
  const std::string_view trimmed = Trimmed(body);
  if (trimmed.empty()) return std::nullopt;
  if (trimmed.starts_with('{') || trimmed.starts_with('[')) {
    if (Calls calls = ReadJsonCalls(trimmed)) return calls;
  }
  std::string listed = "[";
  listed += trimmed;
  listed += ']';
  if (Calls calls = ReadPythonCalls(listed); calls && calls->size() == 1) {
    ToolCall& call = calls->front();
    constexpr std::string_view kMethod = ".call";
    if (call.name.ends_with(kMethod)) {
      call.name.resize(call.name.size() - kMethod.size());
      return calls;
    }
  }
  Json code = Json::object();
  code["code"] = std::string(trimmed);
  return std::vector<ToolCall>{{.id = "", .name = "code_interpreter", .arguments = Dumped(code)}};
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

TextParameters TextParametersOf(std::string_view tools_json) {
  TextParameters texts;
  const std::optional<Json> tools = Parsed(tools_json);
  if (!tools || !tools->is_array()) return texts;
  for (const Json& tool : *tools) {
    if (!tool.is_object()) continue;
    const Json& function = tool.contains("function") ? tool["function"] : tool;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
      continue;
    }
    const auto pointer = Json::json_pointer("/parameters/properties");
    const Json properties = function.contains(pointer) ? function[pointer] : Json::object();
    if (!properties.is_object()) continue;
    for (const auto& [key, schema] : properties.items()) {
      if (schema.is_object() && schema.contains("type") && schema["type"] == "string") {
        texts[function["name"].get<std::string>()].insert(key);
      }
    }
  }
  return texts;
}

Calls ReadJsonCalls(std::string_view body) {
  const std::optional<Json> value = Parsed(body);
  if (!value) return std::nullopt;
  std::vector<ToolCall> calls;
  if (!value->is_array()) {
    std::optional<ToolCall> call = CallOf(*value);
    if (!call) return std::nullopt;
    calls.push_back(*std::move(call));
    return calls;
  }
  if (value->empty() || value->size() > kCallsMax) return std::nullopt;
  for (const Json& element : *value) {
    std::optional<ToolCall> call = CallOf(element);
    if (!call) return std::nullopt;
    calls.push_back(*std::move(call));
  }
  return calls;
}

Calls ReadBody(Body kind, std::string_view body, const TextParameters& texts) {
  switch (kind) {
    case Body::kThinking:
    case Body::kDropped:
      return std::nullopt;
    case Body::kToolCall:
      return ReadToolCall(body, texts);
    case Body::kFunction:
      return ReadFunction(body, texts);
    case Body::kJsonList:
      return ReadJsonCalls(Trimmed(body));
    case Body::kMistral:
      return ReadMistral(body);
    case Body::kDeepSeek:
      return ReadFramed(body, {.begin = "<｜tool▁call▁begin｜>",
                               .separator = "<｜tool▁sep｜>",
                               .end = "<｜tool▁call▁end｜>"});
    case Body::kKimi:
      return ReadFramed(body, {.begin = "<|tool_call_begin|>",
                               .separator = "<|tool_call_argument_begin|>",
                               .end = "<|tool_call_end|>"});
    case Body::kGemma:
      return ReadGemmaCall(Trimmed(body));
    case Body::kPythonList:
      return ReadPythonCalls(Trimmed(body));
    case Body::kPythonTag:
      return ReadPythonTag(body);
  }
  return std::nullopt;
}

bool JsonReach::Advance(std::string_view text) {
  for (; !done_ && at_ < text.size(); ++at_) {
    const char c = text[at_];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      if (--depth_ <= 0) {
        ++at_;
        done_ = true;
        break;
      }
    }
  }
  return done_;
}

}  // namespace tatara::text::answer
