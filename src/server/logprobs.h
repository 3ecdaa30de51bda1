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
// completions with echo: of the prompt's tokens, whose text is `echo`, then of the answer's.
Json EchoLogprobs(std::span<const assistant::Logprob> prompt,
                  std::span<const assistant::Logprob> answer, std::string_view echo);
// Those of tokens that no delta of a stream has carried.
std::span<const assistant::Logprob> Uncarried(const assistant::Choice& choice);
// In characters.
std::size_t Length(std::string_view text);
std::size_t Length(std::span<const assistant::Logprob> logprobs);

}  // namespace tatara::server
