#include "request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tatara/base/json_nesting.h"

namespace tatara::server {
namespace {

void ReadLogitBias(Fields& fields, assistant::SamplingWish& sampling) {
  const Json* value = fields.Get("logit_bias");
  if (value == nullptr) return;
  const std::string path = fields.PathOf("logit_bias");
  if (!value->is_object()) {
    return fields.Wrong(path, "expected an object of token ids and numbers");
  }
  if (value->size() > kLogitBiasMax) {
    return fields.Wrong(path, fmt::format("{} entries, at most {}", value->size(), kLogitBiasMax));
  }
  for (const auto& [key, bias] : value->items()) {
    std::int32_t id = 0;
    const char* end = key.data() + key.size();
    const auto [after, error] = std::from_chars(key.data(), end, id);
    if (error != std::errc() || after != end || id < 0) {
      return fields.Wrong(path, fmt::format("'{}' is no token id", key.substr(0, 40)));
    }
    if (!bias.is_number() ||
        !(bias.get<double>() >= -kLogitBiasMost && bias.get<double>() <= kLogitBiasMost)) {
      return fields.Wrong(
          fmt::format("{}.{}", path, key),
          fmt::format("expected a number from {} to {}", -kLogitBiasMost, kLogitBiasMost));
    }
    for (const auto& [other, unused] : sampling.logit_bias) {
      if (other == id) return fields.Wrong(path, fmt::format("the token id {} occurs twice", id));
    }
    sampling.logit_bias.emplace_back(id, bias.get<double>());
  }
}

void ReadStop(Fields& fields, std::vector<std::string>& stop) {
  const Json* value = fields.Get("stop");
  if (value == nullptr) return;
  const std::string path = fields.PathOf("stop");
  const auto add = [&](const std::string& at, const Json& text) {
    if (!text.is_string()) return fields.Wrong(at, "expected a string");
    const auto& bytes = text.get_ref<const std::string&>();
    if (bytes.empty() || bytes.size() > kStopBytesMax) {
      return fields.Wrong(at, fmt::format("expected 1 to {} bytes", kStopBytesMax));
    }
    stop.push_back(bytes);
  };
  if (!value->is_array()) return add(path, *value);
  if (value->size() > kStopsMax) {
    return fields.Wrong(path, fmt::format("{} strings, at most {}", value->size(), kStopsMax));
  }
  for (std::size_t i = 0; i < value->size(); ++i) add(fmt::format("{}[{}]", path, i), (*value)[i]);
}

// A string, or an array of text parts, joined by line ends.
std::optional<std::string> ContentText(Fields& fields, const std::string& path,
                                       const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    fields.Wrong(path, "expected a string or an array of parts");
    return std::nullopt;
  }
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    const std::string at = fmt::format("{}[{}]", path, i);
    if (!part.is_object()) {
      fields.Wrong(at, "expected an object");
      return std::nullopt;
    }
    Fields inner(part, at);
    inner.OneOf(kPartType);
    const std::string piece = inner.Text("text", "");
    if (inner.ok() && !inner.Has("text")) inner.Wrong(at + ".text", "is missing");
    if (!inner.ok()) {
      fields.TakeError(inner);
      return std::nullopt;
    }
    text += (i > 0 ? "\n" : "") + piece;
  }
  return text;
}

// The object under `name`; null, and said to be wrong, where it is none.
const Json* Part(Fields& fields, std::string_view name) {
  const Json* part = fields.Get(name);
  if (part != nullptr && part->is_object()) return part;
  fields.Wrong(fields.PathOf(name), part == nullptr ? "is missing" : "expected an object");
  return nullptr;
}

// One call of an earlier answer; templates take the arguments as an object.
Json ReadToolCall(Fields& fields, const std::string& path, const Json& call) {
  if (!call.is_object()) {
    fields.Wrong(path, "expected an object");
    return {};
  }
  Json copy = call;
  Fields outer(call, path);
  outer.Text("id", "");
  outer.OneOf(kToolType);
  if (const Json* function = Part(outer, "function")) {
    Fields inner(*function, outer.PathOf("function"));
    if (inner.Text("name", "").empty()) inner.Wrong(inner.PathOf("name"), "is missing");
    const Json* arguments = inner.Get("arguments");
    if (arguments != nullptr && arguments->is_string()) {
      const auto& text = arguments->get_ref<const std::string&>();
      Json parsed = JsonNestsTooDeeply(text) ? Json() : Json::parse(text, nullptr, false);
      if (!parsed.is_object()) {
        inner.Wrong(inner.PathOf("arguments"), "is not the text of a JSON object");
      }
      copy["function"]["arguments"] = std::move(parsed);
    } else if (arguments != nullptr && !arguments->is_object()) {
      inner.Wrong(inner.PathOf("arguments"), "expected the text of a JSON object");
    }
    outer.TakeError(inner);
  }
  fields.TakeError(outer);
  return copy;
}

Json ReadToolCalls(Fields& fields, const std::string& path, const Json& calls) {
  Json out = Json::array();
  if (!calls.is_array() || calls.size() > kToolsMax) {
    fields.Wrong(path, fmt::format("expected an array of at most {} calls", kToolsMax));
    return out;
  }
  for (std::size_t i = 0; i < calls.size() && fields.ok(); ++i) {
    out.push_back(ReadToolCall(fields, fmt::format("{}[{}]", path, i), calls[i]));
  }
  return out;
}

Json ReadMessage(Fields& fields, const std::string& path, const Json& message) {
  Json out = Json::object();
  if (!message.is_object()) {
    fields.Wrong(path, "expected an object");
    return out;
  }
  Fields inner(message, path);
  if (!inner.Has("role")) inner.Wrong(path + ".role", "is missing");
  std::string role = inner.OneOf(kRole);
  if (role == "developer") role = "system";
  out["role"] = role;
  const Json* content = inner.Get("content");
  const Json* calls = inner.Get("tool_calls");
  if (content != nullptr) {
    out["content"] = ContentText(inner, path + ".content", *content).value_or("");
  } else if (role == "assistant" && calls != nullptr) {
    out["content"] = "";
  } else {
    inner.Wrong(path + ".content", "is missing");
  }
  if (calls != nullptr) out["tool_calls"] = ReadToolCalls(inner, path + ".tool_calls", *calls);
  for (const TextField& field : kMessageTexts) {
    if (inner.Has(field.name)) out[std::string(field.name)] = inner.Text(field);
  }
  inner.Accept(kMessageAccepted);
  inner.RefuseAll(kMessageRefused);
  fields.TakeError(inner);
  return out;
}

void ReadTool(Fields& fields, const std::string& path, const Json& tool) {
  if (!tool.is_object()) return fields.Wrong(path, "expected an object");
  Fields outer(tool, path);
  outer.OneOf(kToolType);
  if (const Json* function = Part(outer, "function")) {
    Fields inner(*function, outer.PathOf("function"));
    if (inner.Text("name", "").empty()) inner.Wrong(inner.PathOf("name"), "is missing");
    inner.Text("description", "");
    const Json* parameters = inner.Get("parameters");
    if (parameters != nullptr && !parameters->is_object()) {
      inner.Wrong(inner.PathOf("parameters"), "expected a JSON schema");
    }
    if (inner.Flag("strict", false)) {
      inner.Wrong(inner.PathOf("strict"), "true is not offered by this server yet");
    }
    outer.TakeError(inner);
  }
  fields.TakeError(outer);
}

void ReadTools(Fields& fields, assistant::Conversation& chat) {
  const Json* tools = fields.Get("tools");
  bool none = false;
  if (const Json* choice = fields.Get("tool_choice")) {
    none = *choice == "none";
    if (!none && *choice != "auto") {
      fields.Wrong(fields.PathOf("tool_choice"), "only 'auto' and 'none' are offered yet");
    }
  }
  if (!fields.Flag("parallel_tool_calls", true)) {
    fields.Wrong(fields.PathOf("parallel_tool_calls"), "false is not offered yet");
  }
  if (tools == nullptr) return;
  const std::string path = fields.PathOf("tools");
  if (!tools->is_array() || tools->size() > kToolsMax) {
    return fields.Wrong(path, fmt::format("expected an array of at most {} tools", kToolsMax));
  }
  for (std::size_t i = 0; i < tools->size() && fields.ok(); ++i) {
    ReadTool(fields, fmt::format("{}[{}]", path, i), (*tools)[i]);
  }
  if (!none && !tools->empty()) chat.tools_json = Dump(*tools);
}

}  // namespace

void ReadSampling(Fields& fields, assistant::GenerateCall& call) {
  assistant::SamplingWish& s = call.sampling;
  s.temperature = fields.Number(kTemperature);
  s.top_p = fields.Number(kTopP);
  if (s.top_p == 0) fields.Wrong(fields.PathOf("top_p"), "expected more than 0, to 1");
  s.top_k = static_cast<int>(std::max<std::int64_t>(0, fields.Integer(kTopK)));
  s.min_p = fields.Number(kMinP);
  s.presence_penalty = fields.Number(kPresencePenalty);
  s.frequency_penalty = fields.Number(kFrequencyPenalty);
  s.repetition_penalty = fields.Number(kRepetitionPenalty);
  if (fields.Has(kSeed.name)) s.seed = static_cast<std::uint64_t>(fields.Integer(kSeed));
  ReadLogitBias(fields, s);
  ReadStop(fields, call.stop);
  call.n = static_cast<int>(fields.Integer(kN));
  call.ignore_end = fields.Flag(kIgnoreEos);
  fields.Text(kUser);
  fields.Accept(kSamplingAccepted);
  fields.RefuseAll(kSamplingRefused);
}

assistant::Conversation ReadConversation(Fields& fields) {
  assistant::Conversation chat;
  Json messages = Json::array();
  const Json* given = fields.Get("messages");
  const std::string path = fields.PathOf("messages");
  if (given == nullptr) {
    fields.Wrong(path, "is missing");
  } else if (!given->is_array() || given->empty() || given->size() > kMessagesMax) {
    fields.Wrong(path, fmt::format("expected an array of 1 to {} messages", kMessagesMax));
  } else {
    for (std::size_t i = 0; i < given->size() && fields.ok(); ++i) {
      messages.push_back(ReadMessage(fields, fmt::format("{}[{}]", path, i), (*given)[i]));
    }
  }
  chat.messages_json = Dump(messages);
  ReadTools(fields, chat);
  Json variables = Json::object();
  if (const Json* more = fields.Get("chat_template_kwargs")) {
    if (!more->is_object()) {
      fields.Wrong(fields.PathOf("chat_template_kwargs"), "expected an object");
    } else {
      variables = *more;
    }
  }
  if (fields.Has(kReasoningEffort.name)) {
    variables["reasoning_effort"] = fields.Text(kReasoningEffort);
  }
  for (const char* name : {"messages", "tools"}) variables.erase(name);
  if (!variables.empty()) chat.variables_json = Dump(variables);
  return chat;
}

StreamWish ReadStream(Fields& fields) {
  StreamWish wish{.stream = fields.Flag(kStream)};
  const Json* options = fields.Get("stream_options");
  if (options == nullptr) return wish;
  const std::string path = fields.PathOf("stream_options");
  if (!options->is_object()) {
    fields.Wrong(path, "expected an object");
  } else if (!wish.stream) {
    fields.Wrong(path, "is only for streams");
  } else {
    Fields inner(*options, path);
    wish.usage = inner.Flag(kIncludeUsage);
    inner.Flag(kIncludeObfuscation);
    fields.TakeError(inner);
  }
  return wish;
}

std::vector<std::int32_t> ReadIds(Fields& fields, const std::string& path, const Json& list) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto id = TokenId(list[i]);
    if (!id) {
      fields.Wrong(fmt::format("{}[{}]", path, i), "expected a token id");
      return {};
    }
    ids.push_back(*id);
  }
  return ids;
}

void ReadTextsOrIds(Fields& fields, const std::string& name, std::size_t entries_max,
                    std::vector<std::string>& texts,
                    std::vector<std::vector<std::int32_t>>& id_lists) {
  const Json* value = fields.Get(name);
  if (value == nullptr) return fields.Wrong(name, "is missing");
  if (value->is_string()) {
    texts.push_back(value->get<std::string>());
    return;
  }
  if (!value->is_array() || value->empty() || value->size() > kPromptIdsMax) {
    return fields.Wrong(name, "expected a string, an array of strings, or token ids");
  }
  if (value->front().is_number()) {
    id_lists.push_back(ReadIds(fields, name, *value));
    return;
  }
  if (value->size() > entries_max) {
    return fields.Wrong(name, fmt::format("{} entries, at most {}", value->size(), entries_max));
  }
  const bool all_texts = value->front().is_string();
  for (std::size_t i = 0; i < value->size(); ++i) {
    const Json& one = (*value)[i];
    const std::string path = fmt::format("{}[{}]", name, i);
    if (all_texts ? !one.is_string() : !one.is_array()) {
      return fields.Wrong(path, all_texts ? "expected a string" : "expected an array of token ids");
    }
    if (all_texts) {
      texts.push_back(one.get<std::string>());
    } else {
      id_lists.push_back(ReadIds(fields, path, one));
    }
  }
}

}  // namespace tatara::server
