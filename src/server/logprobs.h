// Log-probabilities as the reference API writes them.
#pragma once

#include <vector>

#include "json_fields.h"
#include "tatara/assistant/service.h"

namespace tatara::server {

// chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}.
Json ChatLogprobs(const std::vector<assistant::Logprob>& logprobs);
// completions: parallel lists; offsets in characters from `offset`.
Json CompletionLogprobs(const std::vector<assistant::Logprob>& logprobs, std::size_t offset);

}  // namespace tatara::server
