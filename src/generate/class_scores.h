// What a cross-encoder's classes say about how well a passage answers. Thread safety: free
// functions, no state.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace tatara::generate {

// The class that stands for "it answers": the only one there is; the only one with a name for it
// ("yes", "true", "relevant", "entailment", "positive"); of two without such a name the second, as
// pairs are trained. -1 where it can not be told.
int RelevantClass(const std::vector<std::string>& names, int n_classes);

// ln(p / (1 - p)) of class `at` under the softmax of these logits: of two its logit less the
// other's. A single logit is its own.
double LogOdds(std::span<const float> logits, int at);

}  // namespace tatara::generate
