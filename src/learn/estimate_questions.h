// What the held-out questions of a tuning recipe take. Thread safety: free functions.
#pragma once

#include "tatara/base/error.h"
#include "tatara/learn/recipe.h"

namespace tatara::learn {

// Seconds of all questions, before and after, from a few that are asked of the base. 0 where the
// recipe has none. Answers end where the model ends them, so a tuned one may take less.
Result<double> MeasureQuestions(const Recipe& recipe, int n_threads);

}  // namespace tatara::learn
