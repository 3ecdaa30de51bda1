#include "request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "tatara/base/json_nesting.h"

namespace tatara::server {
namespace {

constexpr std::int64_t kInt64Most = std::numeric_limits<std::int64_t>::max();

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
    if (!bias.is_number() || !(bias.get<double>() >= -100 && bias.get<double>() <= 100)) {
      return fields.Wrong(fmt::format("{}.{}", path, key), "expected a number from -100 to 100");
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
    const std::string type = inner.OneOf("type", {"text"});
    const std::string piece = inner.Text("text", "");
    if (inner.ok() && !inner.Has("text")) inner.Wrong(at + ".text", "is missing");
    if (!inner.ok()) {
      fields.Wrong(inner.error()->param, inner.error()->message);
      return std::nullopt;
    }
    text += (i > 0 ? "\n" : "") + piece;
  }
  return text;
}

// The calls of an earlier answer; templates take the arguments as an object.
Json ReadToolCalls(Fields& fields, const std::string& path, const Json& calls) {
  Json out = Json::array();
  if (!calls.is_array() || calls.size() > kToolsMax) {
    fields.Wrong(path, fmt::format("expected an array of at most {} calls", kToolsMax));
    return out;
  }
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", path, i);
    const Json& call = calls[i];
    const auto function = call.is_object() ? call.find("function") : call.end();
    if (!call.is_object() || function == call.end() || !function->is_object() ||
        !function->contains("name") || !(*function)["name"].is_string()) {
      fields.Wrong(at, "expected a call with function.name");
      return out;
    }
    Json copy = call;
    const auto arguments = function->find("arguments");
    if (arguments != function->end() && arguments->is_string()) {
      const auto& text = arguments->get_ref<const std::string&>();
      Json parsed = JsonNestsTooDeeply(text) ? Json() : Json::parse(text, nullptr, false);
      if (!parsed.is_object()) {
        fields.Wrong(at + ".function.arguments", "is not the text of a JSON object");
        return out;
      }
      copy["function"]["arguments"] = std::move(parsed);
    }
    out.push_back(std::move(copy));
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
  std::string role = inner.OneOf("role", {"user", "system", "developer", "assistant", "tool"});
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
  for (const char* name : {"name", "tool_call_id", "reasoning_content"}) {
    if (inner.Has(name)) out[name] = inner.Text(name, "");
  }
  inner.RefuseAll({"audio", "function_call"});
  if (!inner.ok()) fields.Wrong(inner.error()->param, inner.error()->message);
  return out;
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
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const Json& tool = (*tools)[i];
    const bool right = tool.is_object() && tool.contains("function") &&
                       tool["function"].is_object() && tool["function"].contains("name") &&
                       tool["function"]["name"].is_string();
    if (!right)
      return fields.Wrong(fmt::format("{}[{}]", path, i), "expected a function with a name");
    if (tool.contains("type") && tool["type"] != "function") {
      return fields.Wrong(fmt::format("{}[{}].type", path, i), "only 'function' is offered");
    }
  }
  if (!none && !tools->empty()) chat.tools_json = Dump(*tools);
}

}  // namespace

void ReadSampling(Fields& fields, assistant::GenerateCall& call) {
  assistant::SamplingWish& s = call.sampling;
  s.temperature = fields.Number("temperature", 1, {0, 2});
  s.top_p = fields.Number("top_p", 1, {0, 1});
  if (s.top_p == 0) fields.Wrong(fields.PathOf("top_p"), "expected more than 0, to 1");
  // Some servers write -1 for all.
  s.top_k = static_cast<int>(std::max<std::int64_t>(0, fields.Integer("top_k", 0, {-1, 1 << 24})));
  s.min_p = fields.Number("min_p", 0, {0, 1});
  s.presence_penalty = fields.Number("presence_penalty", 0, {-2, 2});
  s.frequency_penalty = fields.Number("frequency_penalty", 0, {-2, 2});
  s.repetition_penalty = fields.Number("repetition_penalty", 1, {0.01, 10});
  if (fields.Has("seed")) {
    s.seed = static_cast<std::uint64_t>(
        fields.Integer("seed", 0, {std::numeric_limits<std::int64_t>::min(), kInt64Most}));
  }
  ReadLogitBias(fields, s);
  ReadStop(fields, call.stop);
  call.n = static_cast<int>(fields.Integer("n", 1, {1, kChoicesMax}));
  fields.Text("user", "");
  fields.Accept({"metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
                 "prompt_cache_retention"});
  fields.RefuseAll({"guided_json",
                    "guided_regex",
                    "guided_choice",
                    "guided_grammar",
                    "structured_outputs",
                    "grammar",
                    "json_schema",
                    "use_beam_search",
                    "length_penalty",
                    "typical_p",
                    "tfs_z",
                    "mirostat",
                    "dry_multiplier",
                    "xtc_probability",
                    "bad_words",
                    "min_tokens",
                    "ignore_eos",
                    "stop_token_ids",
                    "allowed_token_ids",
                    "prompt_logprobs",
                    "truncate_prompt_tokens"});
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
  if (fields.Has("reasoning_effort")) {
    variables["reasoning_effort"] = fields.Text("reasoning_effort", "");
  }
  for (const char* name : {"messages", "tools"}) variables.erase(name);
  if (!variables.empty()) chat.variables_json = Dump(variables);
  return chat;
}

StreamWish ReadStream(Fields& fields) {
  StreamWish wish{.stream = fields.Flag("stream", false)};
  const Json* options = fields.Get("stream_options");
  if (options == nullptr) return wish;
  const std::string path = fields.PathOf("stream_options");
  if (!options->is_object()) {
    fields.Wrong(path, "expected an object");
  } else if (!wish.stream) {
    fields.Wrong(path, "is only for streams");
  } else {
    Fields inner(*options, path);
    wish.usage = inner.Flag("include_usage", false);
    inner.Flag("include_obfuscation", false);
    if (!inner.ok()) fields.Wrong(inner.error()->param, inner.error()->message);
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
  constexpr std::size_t kIdsMax = std::size_t{1} << 20;
  const Json* value = fields.Get(name);
  if (value == nullptr) return fields.Wrong(name, "is missing");
  if (value->is_string()) {
    texts.push_back(value->get<std::string>());
    return;
  }
  if (!value->is_array() || value->empty() || value->size() > kIdsMax) {
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
