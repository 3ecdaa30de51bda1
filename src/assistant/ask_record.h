// The record of one answer (kind "ask"), and running it again.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "judge.h"
#include "prompt.h"
#include "tatara/assistant/ask.h"
#include "tatara/base/error.h"
#include "tatara/base/replayer.h"
#include "tatara/generate/engine.h"

namespace tatara::assistant {

// A model that gives the refusal's first token such a probability is right more often than the
// answer that it would write: kSure by itself, kHalfSure where nothing else is much likelier.
// Measured, see README.md. Natural logarithms.
inline constexpr double kSureLogprob = -1.71;      // 0.18
inline constexpr double kHalfSureLogprob = -2.53;  // 0.08
inline constexpr double kMuchLikelier = 0.92;      // 2.5 times

// One run of the model over an answer's prompt.
struct ModelRun {
  generate::Completion completion;
  // Of the first token, of the unprocessed logits: the refusal's opening (nothing where it is not
  // among the likeliest), and the likeliest.
  std::optional<double> refusal_logprob;
  double top_logprob = 0;
  bool refused_at_once = false;  // then nothing was generated after the first token
};

// Asks for the first token's probabilities, and goes on unless they say that the passages do not
// answer. `judge` takes the text; `show` gets what may be shown and returns false to cancel.
Result<ModelRun> RunModel(generate::Engine& engine, Language language,
                          const generate::Request& request, Judge& judge, const OnText& show);

// What a record holds besides the run of the model.
struct AskInputs {
  std::string question;
  std::string collection;
  Language language = Language::kJapanese;
  std::vector<std::string> expansions;
  std::vector<search::Passage> passages;  // in the prompt, best first
};

RecordFields InputFields(const AskInputs& inputs);
Result<AskInputs> InputsOfRecord(const RecordFields& record);

// What was answered, from the judge; `run` is null where the model was not run.
RecordFields JudgedFields(const Judge& judge, const ModelRun* run);

}  // namespace tatara::assistant
