// The fields of requests that generate, as the endpoints read them and the OpenAPI document lists
// them.
#pragma once

#include <cstdint>
#include <limits>

#include "json_fields.h"

namespace tatara::server {

inline constexpr int kChoicesMax = 16;
inline constexpr int kTopLogprobsMax = 20;
inline constexpr std::size_t kMessagesMax = 4096;
inline constexpr std::size_t kToolsMax = 256;
inline constexpr std::size_t kStopsMax = 64;
inline constexpr std::size_t kStopBytesMax = 1024;
inline constexpr std::size_t kLogitBiasMax = 1024;
inline constexpr double kLogitBiasMost = 100;
inline constexpr int kTokensMax = 1 << 24;
inline constexpr std::size_t kPromptIdsMax = std::size_t{1} << 20;

inline constexpr TextField kModel{"model", "Its name; may be left out where only one fits."};
inline constexpr TextField kUser{"user", "Taken; changes nothing."};

// Sampling, of every request that generates.
inline constexpr NumberField kTemperature{"temperature", 1, 0, 2, "0: always the likeliest token."};
inline constexpr NumberField kTopP{"top_p", 1, 0, 1, "More than 0."};
inline constexpr IntegerField kTopK{"top_k", 0, -1, 1 << 24, "0 and -1: all tokens."};
inline constexpr NumberField kMinP{"min_p", 0, 0, 1, "Of the likeliest token's probability."};
inline constexpr NumberField kPresencePenalty{"presence_penalty", 0, -2, 2,
                                              "For tokens that the answer has."};
inline constexpr NumberField kFrequencyPenalty{"frequency_penalty", 0, -2, 2,
                                               "For each time that the answer has a token."};
inline constexpr NumberField kRepetitionPenalty{"repetition_penalty", 1, 0.01, 10,
                                                "Over prompt and answer."};
inline constexpr IntegerField kSeed{
    "seed", -1, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
    "The same seed gives the same answer; absent: one is drawn and reported."};
inline constexpr IntegerField kN{"n", 1, 1, kChoicesMax, "Choices for each prompt."};
inline constexpr FlagField kIgnoreEos{"ignore_eos", false,
                                      "Goes on after the model's end token, to max_tokens."};
inline constexpr FlagField kStream{"stream", false, "Answer as server-sent events."};
inline constexpr FlagField kIncludeUsage{"include_usage", false,
                                         "One more event, with the tokens' counts."};
inline constexpr FlagField kIncludeObfuscation{"include_obfuscation", false,
                                               "Taken; changes nothing."};

inline constexpr std::string_view kSamplingAccepted[] = {
    "metadata",         "store",
    "service_tier",     "safety_identifier",
    "prompt_cache_key", "prompt_cache_retention"};
inline constexpr std::string_view kSamplingRefused[] = {"guided_json",
                                                        "guided_regex",
                                                        "guided_choice",
                                                        "guided_grammar",
                                                        "grammar",
                                                        "json_schema",
                                                        "use_beam_search",
                                                        "structured_outputs",
                                                        "length_penalty",
                                                        "typical_p",
                                                        "tfs_z",
                                                        "mirostat",
                                                        "dry_multiplier",
                                                        "xtc_probability",
                                                        "bad_words",
                                                        "min_tokens",
                                                        "stop_token_ids",
                                                        "allowed_token_ids",
                                                        "prompt_logprobs",
                                                        "logits_processors",
                                                        "truncate_prompt_tokens"};

// /v1/chat/completions
inline constexpr IntegerField kMaxCompletionTokens{
    "max_completion_tokens", 0, 1, kTokensMax,
    "Absent: max_tokens; else what the context has left."};
inline constexpr IntegerField kChatMaxTokens{"max_tokens", 0, 1, kTokensMax,
                                             "The older name of max_completion_tokens."};
inline constexpr FlagField kChatLogprobs{"logprobs", false, "Log-probability of every token."};
inline constexpr IntegerField kTopLogprobs{"top_logprobs", 0, 0, kTopLogprobsMax,
                                           "Of the likeliest tokens too; needs logprobs."};
inline constexpr TextField kReasoningEffort{"reasoning_effort", "Handed to the model's template."};
inline constexpr std::string_view kRoles[] = {"user", "system", "developer", "assistant", "tool"};
inline constexpr ChoiceField kRole{"role", kRoles, "developer counts as system."};
inline constexpr std::string_view kPartTypes[] = {"text"};
inline constexpr ChoiceField kPartType{"type", kPartTypes, "Images and audio are not offered."};
inline constexpr std::string_view kToolTypes[] = {"function"};
inline constexpr ChoiceField kToolType{"type", kToolTypes, ""};
inline constexpr TextField kMessageTexts[] = {
    {"name", "Of who speaks."},
    {"tool_call_id", "Of a tool's message: the call that it answers."},
    {"reasoning_content", "Of an assistant's message: what it thought."}};
inline constexpr std::string_view kMessageAccepted[] = {"refusal", "annotations"};
inline constexpr std::string_view kMessageRefused[] = {"audio", "function_call"};
inline constexpr std::string_view kChatAccepted[] = {"prediction"};  // faster, never other answers
inline constexpr std::string_view kChatRefused[] = {"functions",
                                                    "function_call",
                                                    "audio",
                                                    "verbosity",
                                                    "web_search_options",
                                                    "chat_template",
                                                    "documents",
                                                    "continue_final_message",
                                                    "add_generation_prompt",
                                                    "include_reasoning",
                                                    "echo"};

// /v1/completions
inline constexpr IntegerField kMaxTokens{"max_tokens", 16, 0, kTokensMax,
                                         "0: nothing is generated; only with echo and logprobs."};
inline constexpr IntegerField kLogprobs{
    "logprobs", -1, 0, kTopLogprobsMax,
    "Log-probability of every token, and of this many of the likeliest."};
inline constexpr FlagField kEcho{"echo", false, "The prompt comes before the answer."};
inline constexpr TextField kSuffix{
    "suffix", "What follows the answer; only of models that fill holes, and with texts."};
inline constexpr IntegerField kBestOf{"best_of", 0, 1, kChoicesMax, "Only the same number as n."};
inline constexpr std::string_view kCompletionsRefused[] = {"response_format", "prompt_embeds",
                                                           "input_prefix", "input_suffix"};

}  // namespace tatara::server
