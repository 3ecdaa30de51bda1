#include "json_text.h"

#include <fmt/format.h>

#include "tatara/base/json_nesting.h"

namespace tatara::corpus {

std::optional<Json> ParseJson(std::string_view text, std::string* why) {
  const auto refuse = [&](std::string reason) {
    if (why != nullptr) *why = std::move(reason);
    return std::nullopt;
  };
  if (JsonNestsTooDeeply(text)) return refuse(fmt::format("nested above {}", kJsonNestingMax));
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    return refuse(fmt::format("byte {}", error.byte));
  } catch (const nlohmann::json::exception&) {
    return refuse("a number is out of range");
  }
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tatara::corpus
