#include "json_text.h"

#include "tatara/base/json_nesting.h"

namespace tatara::corpus {

std::optional<Json> ParseJson(std::string_view text, std::optional<Error>* why) {
  const auto refuse = [&](Error reason) {
    if (why != nullptr) *why = std::move(reason);
    return std::nullopt;
  };
  if (JsonNestsTooDeeply(text)) return refuse(Refuse("nested above {0}", kJsonNestingMax));
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    return refuse(Refuse("byte {0}", error.byte));
  } catch (const nlohmann::json::exception&) {
    return refuse(Refuse("a number is out of range"));
  }
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tatara::corpus
