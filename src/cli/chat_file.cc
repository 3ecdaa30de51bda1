#include "chat_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "tatara/base/json_nesting.h"

namespace tatara::cli {
namespace {

using Json = nlohmann::ordered_json;

Result<> CheckMessages(const std::string& name, const Json& messages) {
  if (!messages.is_array()) {
    return Refuse("{0}: 'messages' is {1}, expected an array", name, messages.type_name());
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) {
      return Refuse("{0}: messages[{1}] is {2}, expected an object", name, i,
                    messages[i].type_name());
    }
    if (!messages[i].contains("role") || !messages[i]["role"].is_string()) {
      return Refuse("{0}: messages[{1}] has no 'role' that is a string", name, i);
    }
  }
  return Ok{};
}

}  // namespace

Result<Conversation> ParseConversation(const std::string& name, std::string_view json) {
  if (JsonNestsTooDeeply(json)) {
    return Refuse("{0}: nested more than {1} deep", name, kJsonNestingMax);
  }
  Json value;
  try {
    value = Json::parse(json);
  } catch (const nlohmann::json::parse_error& error) {
    const std::string_view before = json.substr(0, error.byte == 0 ? 0 : error.byte - 1);
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return Refuse("{0}: not JSON at line {1}, byte {2} of it", name,
                  1 + std::ranges::count(before, '\n'), before.size() - line_start + 1);
  } catch (const nlohmann::json::exception&) {
    return Refuse("{0}: not JSON: a number is out of range", name);
  }
  Conversation conversation;
  Json messages = value;
  if (value.is_object()) {
    if (!value.contains("messages")) return Refuse("{0}: no 'messages' in it", name);
    messages = value["messages"];
    value.erase("messages");
    if (!value.empty()) conversation.extra_json = value.dump();
  }
  TATARA_RETURN_IF_ERROR(CheckMessages(name, messages));
  conversation.messages_json = messages.dump();
  return conversation;
}

}  // namespace tatara::cli
