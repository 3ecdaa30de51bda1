// Log-probabilities as the reference API writes them.
#pragma once

#include <span>
#include <string_view>

#include "json_fields.h"
#include "tatara/assistant/service.h"

namespace tatara::server {

// chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}.
Json ChatLogprobs(std::span<const assistant::Logprob> logprobs);
// completions: parallel lists; offsets in characters from `offset`.
Json CompletionLogprobs(std::span<const assistant::Logprob> logprobs, std::size_t offset);
// Those of tokens that no delta of a stream has carried.
std::span<const assistant::Logprob> Uncarried(const assistant::Choice& choice);
// In characters.
std::size_t Length(std::string_view text);
std::size_t Length(std::span<const assistant::Logprob> logprobs);

}  // namespace tatara::server
