// tune: a model of this machine trained further, registered under the recipe's name, and asked
// questions that it was not trained on.
#pragma once

#include "options.h"
#include "tatara/base/error.h"

namespace tatara::cli {

struct TuneOptions {
  TrainOptions train;
  bool no_questions = false;  // the held-out questions are not asked
};

Result<int> Tune(const TuneOptions& options);

}  // namespace tatara::cli
