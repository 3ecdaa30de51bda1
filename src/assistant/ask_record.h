// The record of one answer (kind "ask"), and running it again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "judge.h"
#include "model_run.h"
#include "prompt.h"
#include "tatara/assistant/ask.h"
#include "tatara/base/error.h"
#include "tatara/base/replayer.h"
#include "tatara/generate/engine.h"

namespace tatara::assistant {

// What a record holds besides the run of the model.
struct AskInputs {
  std::string question;
  std::string collection;
  Asked asked;
  std::vector<std::string> expansions;
  std::vector<search::Passage> passages;  // in the prompt, best first
};

RecordFields InputFields(const AskInputs& inputs);
Result<AskInputs> InputsOfRecord(const RecordFields& record);

// What was answered, from the judge; `run` is null where the model was not run.
RecordFields JudgedFields(const Judge& judge, const ModelRun* run);

}  // namespace tatara::assistant
