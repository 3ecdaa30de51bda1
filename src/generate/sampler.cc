#include "sampler.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "candidate_order.h"
#include "tatara/base/check.h"
#include "tatara/numerics/functions.h"
#include "tatara/numerics/ops.h"

namespace tatara::generate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::string_view kNothingLeft =
    "no token can be chosen: all {0} of the vocabulary are ruled out";

bool HasPenalties(const SamplingParams& p) {
  return p.repetition_penalty != 1 || p.presence_penalty != 0 || p.frequency_penalty != 0;
}

double Penalised(double y, std::int64_t n_in_output, const SamplingParams& p) {
  y = y > 0 ? y / p.repetition_penalty : y * p.repetition_penalty;
  if (n_in_output > 0) {
    y -= static_cast<double>(n_in_output) * p.frequency_penalty;
    y -= p.presence_penalty;
  }
  return y;
}

// The y of sampler.h, -inf where an id is ruled out.
void ProcessLogits(const SampleInput& in, std::vector<double>& y) {
  y.assign(in.logits.begin(), in.logits.end());
  for (const auto& [id, bias] : in.params.logit_bias) y[static_cast<std::size_t>(id)] += bias;
  if (!in.allowed.empty()) {
    for (std::size_t i = 0; i < y.size(); ++i) {
      if ((in.allowed[i / 64] >> (i % 64) & 1) == 0) y[i] = -kInfinity;
    }
  }
  if (!HasPenalties(in.params)) return;
  for (const auto& [id, n] : in.history.output_counts()) {
    double& value = y[static_cast<std::size_t>(id)];
    value = Penalised(value, n, in.params);
  }
}

// Eight running maxima, because one chain would wait for its own latency at every element.
double MaxOf(std::span<const double> y) {
  double lanes[8];
  std::fill(std::begin(lanes), std::end(lanes), -kInfinity);
  std::size_t i = 0;
  for (; i + 8 <= y.size(); i += 8) {
    for (std::size_t j = 0; j < 8; ++j) lanes[j] = y[i + j] > lanes[j] ? y[i + j] : lanes[j];
  }
  for (; i < y.size(); ++i) lanes[0] = y[i] > lanes[0] ? y[i] : lanes[0];
  return *std::max_element(std::begin(lanes), std::end(lanes));
}

// Weights of candidates and their sums, under one maximum and temperature.
struct Weights {
  double max;
  double temperature;
  double Of(double y) const { return numerics::ExpF64((y - max) / temperature); }

  double SumOfAll(std::span<const double> y) const {
    double sum = 0;
    double piece[256];
    for (std::size_t i = 0; i < y.size(); i += std::size(piece)) {
      const std::span<double> part(piece, std::min(std::size(piece), y.size() - i));
      for (std::size_t j = 0; j < part.size(); ++j) part[j] = (y[i + j] - max) / temperature;
      numerics::ExpRowF64(part);
      for (const double weight : part) sum += weight;
    }
    return sum;
  }
};

double SumById(std::span<const std::pair<std::int32_t, double>> weights, SampleScratch& scratch) {
  auto& by_id = scratch.by_id;
  by_id.assign(weights.begin(), weights.end());
  std::sort(by_id.begin(), by_id.end());
  double sum = 0;
  for (const auto& [id, weight] : by_id) sum += weight;
  return sum;
}

// Leaves in scratch.weights the candidates that top-k, top-p and min-p keep, in order: always a
// start of the order, since each of the three cuts somewhere.
void KeepCandidates(const SamplingParams& p, const Weights& weights, CandidateOrder& order,
                    SampleScratch& scratch) {
  auto& kept = scratch.weights;
  kept.clear();
  if (p.top_k > 0) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(p.top_k); ++i) {
      const Candidate* candidate = order.At(i);
      if (candidate == nullptr) break;
      kept.emplace_back(candidate->id, weights.Of(candidate->logit));
    }
  }
  double threshold = kInfinity;
  if (p.top_p < 1) {
    threshold = p.top_p * (p.top_k > 0 ? SumById(kept, scratch) : weights.SumOfAll(scratch.logits));
  }
  double cumulative = 0;
  for (std::size_t i = 0;; ++i) {
    if (i == kept.size()) {
      const Candidate* candidate = p.top_k > 0 ? nullptr : order.At(i);
      if (candidate == nullptr) return;
      kept.emplace_back(candidate->id, weights.Of(candidate->logit));
    }
    if (kept[i].second < p.min_p) {
      kept.resize(i);
      return;
    }
    cumulative += kept[i].second;
    if (cumulative >= threshold) {
      kept.resize(i + 1);
      return;
    }
  }
}

std::int32_t DrawFromKept(double u, SampleScratch& scratch) {
  const auto& kept = scratch.weights;
  const double target = u * SumById(kept, scratch);
  double cumulative = 0;
  for (const auto& [id, weight] : kept) {
    cumulative += weight;
    if (cumulative > target) return id;
  }
  return kept.back()
      .first;  // not reached: u <= 1 - 2^-24, far more than two orders of a sum can differ
}

std::int32_t DrawFromAll(double u, const Weights& weights, CandidateOrder& order,
                         std::span<const double> y) {
  const double target = u * weights.SumOfAll(y);
  double cumulative = 0;
  std::int32_t last = -1;
  for (std::size_t i = 0;; ++i) {
    const Candidate* candidate = order.At(i);
    if (candidate == nullptr) return last;  // not reached, as above
    last = candidate->id;
    cumulative += weights.Of(candidate->logit);
    if (cumulative > target) return last;
  }
}

// The largest logit and the lowest id that has it, NaN where there is any; id -1 where all are
// -inf. One comparison per logit finds both a larger one and a NaN, so the whole vocabulary is read
// once.
struct Largest {
  float logit = -std::numeric_limits<float>::infinity();
  std::int32_t id = -1;
};

Largest LargestOf(std::span<const float> logits) {
  Largest largest;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] <= largest.logit) continue;
    largest = {logits[i], static_cast<std::int32_t>(i)};
    if (logits[i] != logits[i]) break;
  }
  return largest;
}

Result<std::int32_t> SampleProcessed(const SampleInput& in, SampleScratch& scratch) {
  ProcessLogits(in, scratch.logits);
  const std::span<const double> y = scratch.logits;
  const double max = MaxOf(y);
  if (max == -kInfinity) return Refuse(kNothingLeft, y.size());
  const SamplingParams& p = in.params;
  if (p.temperature == 0) {
    return static_cast<std::int32_t>(std::find(y.begin(), y.end(), max) - y.begin());
  }
  const Weights weights{.max = max, .temperature = p.temperature};
  CandidateOrder order(y, max, scratch.candidates);
  if (p.top_k == 0 && p.top_p >= 1 && p.min_p == 0) return DrawFromAll(in.u, weights, order, y);
  KeepCandidates(p, weights, order, scratch);
  return DrawFromKept(in.u, scratch);
}

Result<> CheckLargest(float logit) {
  if (logit < std::numeric_limits<float>::infinity()) return Ok{};
  return Refuse("the model's logits hold {0}: the weights or the computation are broken",
                logit != logit ? "NaN" : "+inf");
}

}  // namespace

Result<> CheckLogits(std::span<const float> logits) {
  return CheckLargest(LargestOf(logits).logit);
}

Result<std::int32_t> Sample(const SampleInput& input, SampleScratch& scratch) {
  const Largest largest = LargestOf(input.logits);
  TATARA_RETURN_IF_ERROR(CheckLargest(largest.logit));
  const bool plain_greedy = input.params.temperature == 0 && input.params.logit_bias.empty() &&
                            input.allowed.empty() && !HasPenalties(input.params);
  if (!plain_greedy) return SampleProcessed(input, scratch);
  if (largest.id < 0) return Refuse(kNothingLeft, input.logits.size());
  return largest.id;
}

TokenLogprob LogprobOf(std::span<const float> logits, std::int32_t id, int n_top,
                       SampleScratch& scratch) {
  const double log_sum = numerics::LogSumExp(logits);
  TokenLogprob out;
  out.id = id;
  out.logprob = static_cast<double>(logits[static_cast<std::size_t>(id)]) - log_sum;
  if (n_top <= 0) return out;
  scratch.logits.assign(logits.begin(), logits.end());
  CandidateOrder order(scratch.logits, static_cast<double>(numerics::Max(logits)),
                       scratch.candidates);
  for (int i = 0; i < n_top; ++i) {
    const Candidate* candidate = order.At(static_cast<std::size_t>(i));
    if (candidate == nullptr) break;
    out.top.emplace_back(candidate->id, candidate->logit - log_sum);
  }
  return out;
}

}  // namespace tatara::generate
