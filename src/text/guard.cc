#include "tatara/text/guard.h"

#include <nlohmann/json.hpp>

namespace tatara::text {

using Json = nlohmann::ordered_json;

Json GuardTexts(const Tokenizer& tokenizer, const Json& value) {
  if (value.is_string()) return tokenizer.Guard(value.get_ref<const std::string&>());
  Json guarded = value;
  if (value.is_array()) {
    for (Json& item : guarded) item = GuardTexts(tokenizer, item);
  } else if (value.is_object()) {
    guarded = Json::object();
    for (const auto& [name, item] : value.items()) {
      guarded[tokenizer.Guard(name)] = GuardTexts(tokenizer, item);
    }
  }
  return guarded;
}

}  // namespace tatara::text
