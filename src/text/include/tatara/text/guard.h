// Messages and documents on their way into a chat template: what looks like a special token in them
// stays text (Tokenizer::Guard). Thread safety: a free function.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tatara/text/tokenizer.h"

namespace tatara::text {

// Guards every text in `value`, names of members too. Its depth was bounded when it was parsed.
nlohmann::ordered_json GuardTexts(const Tokenizer& tokenizer, const nlohmann::ordered_json& value);

}  // namespace tatara::text
