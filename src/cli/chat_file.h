// A conversation from a JSON file: an array of messages, or an object with "messages" and further
// template variables ("tools", ...).
#pragma once

#include <string>
#include <string_view>

#include "tatara/base/error.h"

namespace tatara::cli {

struct Conversation {
  std::string messages_json;  // an array
  std::string extra_json;     // an object, or empty
};

// `name` names the file in errors.
Result<Conversation> ParseConversation(const std::string& name, std::string_view json);

}  // namespace tatara::cli
