// The fields of /v1/conversations.
#pragma once

#include "json_fields.h"

namespace tatara::server {

inline constexpr TextField kTitle{"title", "Of the conversation."};
inline constexpr TextField kActive{"active", "Id of the message where the conversation was left."};
inline constexpr TextField kSearchQuery{"query",
                                        "Words that all occur; empty: every conversation."};
inline constexpr TextField kAfter{
    "after", "Id of the conversation behind which the list goes on; only without a query."};
inline constexpr IntegerField kLimit{"limit", 50, 1, 100, "Entries at most."};
inline constexpr TextField kMessageId{"id",
                                      "1 to 64 letters, digits, '-' or '_'; the caller's own."};
inline constexpr TextField kParent{"parent", "Id of the message that it follows; null: it begins."};
inline constexpr std::string_view kMessageRoles[] = {"user", "assistant"};
inline constexpr ChoiceField kMessageRole{"role", kMessageRoles, "Who speaks."};
inline constexpr TextField kMessageContent{"content", "What is said."};
inline constexpr TextField kMessageReasoning{"reasoning", "What a thinking model thought before."};
inline constexpr TextField kMessageModel{"model", "That answered."};
inline constexpr TextField kMessageReceipt{"receipt", "Of the answer: GET /v1/receipts/{id}."};
inline constexpr TextField kMessageFinish{"finish", "How the answer ended."};
inline constexpr IntegerField kMessageCreated{"created_at", 0, 0, 1LL << 40, "Seconds since 1970."};

}  // namespace tatara::server
