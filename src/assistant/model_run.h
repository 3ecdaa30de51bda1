// What the model is asked for one answer, in up to three steps over one prompt and a second short
// one:
//   1. the probabilities of the first token: how likely is the refusal?
//   2. the answer, with the refusal's opening kept out: the first step has decided about it;
//   3. where the first step left a doubt, a look again: do the words cited state what was asked?
//   Likewise
//      where answer and passages are in two languages, so that words do not tell which passage says
//      it.
// One step's number alone does not tell answers from inventions in a small model; both together do,
// see README.md for what was measured.
//
// Thread safety: one thread at a time per Engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "judge.h"
#include "tatara/assistant/ask.h"
#include "tatara/base/error.h"
#include "tatara/generate/engine.h"

namespace tatara::assistant {

// Natural logarithms of the probability that the first token opens the refusal.
inline constexpr double kSureLogprob = -1.386;   // 0.25: it is not there
inline constexpr double kDoubtLogprob = -2.303;  // 0.1: look again strictly
inline constexpr double kHintLogprob = -3.219;   // 0.04: look again
// Of the second look, ln(p(yes) / p(no)) that lets an answer pass.
inline constexpr double kMarginOnDoubt = 0.8;
inline constexpr double kMarginOnHint = -0.4;
// For an answer that only repeats the question's words.
inline constexpr double kMarginWithoutEvidence = 1.0;
// Where question and quote are in two languages, which makes the model less sure.
inline constexpr double kMarginOfChoice = 0.3;

struct ModelRun {
  generate::Completion completion;        // of step 2; of step 1 where that was the end
  std::optional<double> refusal_logprob;  // nothing where it is not among the likeliest
  std::optional<double> check_margin;     // nothing where step 3 was not needed
};

generate::Request AnswerRequest(const generate::Engine& engine, Language language,
                                std::vector<std::int32_t> prompt, int tokens_max);

// `request` is AnswerRequest's, or read from a record of it. `judge` takes the text; `show` gets
// what may be shown and returns false to cancel.
Result<ModelRun> RunModel(generate::Engine& engine, const Asked& asked,
                          const generate::Request& request, Judge& judge, const OnText& show);

}  // namespace tatara::assistant
