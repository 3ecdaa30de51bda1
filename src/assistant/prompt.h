// The prompt of a question: instructions and two worked examples first, which are the same for
// every question of one language and so stay in the prefix cache; then the passages, the nearest
// last; then the question.
//
// Thread safety: free functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "evidence.h"
#include "tatara/base/error.h"
#include "tatara/generate/engine.h"
#include "tatara/search/index.h"

namespace tatara::assistant {

// Changes whenever the words of the prompt change.
inline constexpr std::string_view kInstructions = "ask-1";

// What the model writes when the passages do not say; its first token starts no ordinary sentence,
// so that its probability alone tells how sure the model is that an answer is there.
std::string_view RefusalMark(Language language);

// What the user reads then.
std::string_view RefusalText(Language language);

struct AskPrompt {
  std::string rendered;
  std::vector<std::int32_t> token_ids;
  std::vector<search::Passage> passages;  // those in the prompt, best first
  int left_out = 0;                       // found, but did not fit
};

struct PromptLimits {
  int prompt_tokens_max = 0;
  int passage_tokens_max = 0;  // of the passages together
};

// Refused where even the question alone does not fit, with the numbers.
Result<AskPrompt> BuildPrompt(const generate::Engine& engine, Language language,
                              std::string_view question,
                              const std::vector<search::Passage>& passages,
                              const PromptLimits& limits);

// The passages for a prompt, out of those found: where some have every identifier of the question
// (TK-300), only those; and none far behind the best.
std::vector<search::Passage> ChoosePassages(std::string_view question,
                                            std::vector<search::Passage> found, int passages_max);

// The prompt with which the model says a question in the other language.
Result<std::vector<std::int32_t>> BuildTranslationPrompt(const generate::Engine& engine,
                                                         Language language,
                                                         std::string_view question);

// The prompt with which the model says an English answer in Japanese.
Result<std::vector<std::int32_t>> BuildAnswerTranslationPrompt(const generate::Engine& engine,
                                                               std::string_view answer);

// The prompt with which the model looks again whether `quotes` state what was asked, and its two
// answers.
Result<std::vector<std::int32_t>> BuildCheckPrompt(const generate::Engine& engine,
                                                   Language language, std::string_view quotes,
                                                   std::string_view question,
                                                   std::string_view answer);
struct YesNo {
  std::string_view yes;
  std::string_view no;
};
YesNo CheckAnswers(Language language);

}  // namespace tatara::assistant
