// Log-probabilities of a prompt's own tokens, on its way through the batch.

#include <algorithm>
#include <new>

#include "batch_engine.h"
#include "sampler.h"

namespace tatara::generate {

// Only where they are asked for, for good. Nothing reads logits after the callbacks of a pass have
// begun, so one of them may ask.
Result<> BatchEngine::MakeRoomForScores() {
  try {
    logits_.resize(
        (static_cast<std::size_t>(options_.sequences_max) + static_cast<std::size_t>(kScoresMax)) *
        vocabulary());
  } catch (const std::bad_alloc&) {
    return Refuse("no memory for the logits of {0} positions", kScoresMax);
  }
  return Ok{};
}

void BatchEngine::ScorePrompts() {
  parts_.pool->For(static_cast<std::int64_t>(scores_.size()), [&](std::int64_t item, int thread) {
    PromptScore& score = scores_[static_cast<std::size_t>(item)];
    score.checked = CheckLogits(score.logits);
    if (!score.checked.ok()) return;
    score.logprob = LogprobOf(score.logits, score.next, score.sequence->request.prompt_logprobs,
                              scratch_[static_cast<std::size_t>(thread)]);
  });
  const Sequence* failed = nullptr;  // those of one sequence follow each other
  for (PromptScore& score : scores_) {
    Sequence& s = *score.sequence;
    if (&s == failed) continue;
    if (score.checked.ok()) {
      s.completion.prompt_logprobs.push_back(std::move(score.logprob));
      ++s.n_scored;
      continue;
    }
    failed = &s;
    const auto draw = std::find_if(draws_.begin(), draws_.end(),
                                   [&](const Draw& other) { return other.sequence == &s; });
    if (draw != draws_.end()) {
      draw->id = score.checked.error();  // then Accept ends it
    } else {
      Fail(s, score.checked.error());
    }
  }
}

}  // namespace tatara::generate
