// Choice of the next token from logits: rule 11 of the numerics contract, made exact here.
//
// In f64, for the token ids i that the constraint allows:
//   y_i = logit_i + bias_i; then for ids seen in prompt or output y_i = y_i > 0 ? y_i / r : y_i * r
//   (repetition r); then for ids with n > 0 in the output y_i = (y_i - n * frequency) - presence.
// Candidates are the ids with y_i > -inf, by y descending, then id ascending. Temperature 0 takes
// the first. Otherwise w_i = ExpF64((y_i - y_max) / temperature), and the candidates are cut to
// their first top_k, then to the shortest start whose cumulative weight (in candidate order) is at
// least top_p times the sum over what top_k left, then to those with w_i >= min_p. The first of the
// rest whose cumulative weight exceeds u times their sum wins. Sums (not the cumulative ones) run
// by ascending id, so that the whole vocabulary need not be sorted; all are serial chains in f64.
//
// Sources: top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020); min-p:
// Nguyen et al., "Turning Up the Heat" (2024); repetition: Keskar et al., "CTRL" (2019), both signs
// as its users do. Thread safety: free functions; scratch and history belong to one caller.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/generate/engine.h"

namespace tatara::generate {

// Which ids a sequence has seen, and how often its output holds each.
class TokenHistory {
 public:
  void AddPrompt(std::span<const std::int32_t> ids) {
    for (const std::int32_t id : ids) output_counts_.try_emplace(id, 0);
  }
  void AddOutput(std::int32_t id) { ++output_counts_[id]; }
  // id -> times in the output; 0 for ids of the prompt only. In no particular order.
  const std::unordered_map<std::int32_t, std::int64_t>& output_counts() const {
    return output_counts_;
  }

 private:
  std::unordered_map<std::int32_t, std::int64_t> output_counts_;
};

struct Candidate {
  double logit;
  std::int32_t id;
};

// Memory kept between calls.
struct SampleScratch {
  std::vector<double> logits;
  std::vector<Candidate> candidates;
  std::vector<std::pair<std::int32_t, double>> weights;
  std::vector<std::pair<std::int32_t, double>> by_id;
};

struct SampleInput {
  std::span<const float> logits;
  const SamplingParams& params;
  const TokenHistory& history;
  std::span<const std::uint64_t> allowed;  // bits as Constraint sets them; empty: all ids
  double u = 0;                            // in [0, 1), 24 bits
};

// Refused: a logit that is NaN or +inf.
Result<> CheckLogits(std::span<const float> logits);

// Refused: what CheckLogits refuses, no id left to choose.
Result<std::int32_t> Sample(const SampleInput& input, SampleScratch& scratch);

// Of the unprocessed logits, which hold no NaN; `n_top` of them by logit descending, then id
// ascending.
TokenLogprob LogprobOf(std::span<const float> logits, std::int32_t id, int n_top,
                       SampleScratch& scratch);

}  // namespace tatara::generate
