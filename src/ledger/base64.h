// Base64 of RFC 4648 section 4, with padding; decoding accepts the one canonical spelling only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tatara::ledger {

std::string ToBase64(std::string_view bytes);
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace tatara::ledger
