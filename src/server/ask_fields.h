// The fields of /v1/ask.
#pragma once

#include "json_fields.h"

namespace tatara::server {

inline constexpr TextField kQuestion{"question", ""};
inline constexpr TextField kCollection{"collection", "Of documents; absent: default."};
inline constexpr IntegerField kAskMaxTokens{"max_tokens", 300, 16, 4096, "Of the answer."};
// An answer is always the likeliest one.
inline constexpr std::string_view kAskRefused[] = {"messages", "temperature", "top_p", "top_k",
                                                   "min_p",    "n",           "stop",  "tools"};

}  // namespace tatara::server
