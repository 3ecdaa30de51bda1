#include "sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "candidate_order.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/functions.h"

namespace tatara::generate {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Pseudo-random numbers of a test case.
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : seed_(seed) {}
  std::uint32_t Word() {
    return RandomWords({.seed = seed_, .purpose = RandomPurpose::kTest, .position = n_++})[0];
  }
  double Unit() { return static_cast<double>(Word() >> 8) * 0x1p-24; }
  std::uint32_t Below(std::uint32_t n) { return Word() % n; }

 private:
  std::uint64_t seed_;
  std::uint64_t n_ = 0;
};

struct Weighted {
  std::int32_t id;
  double logit;
  double weight;
};

double SumById(std::vector<Weighted> set) {
  std::sort(set.begin(), set.end(), [](auto& a, auto& b) { return a.id < b.id; });
  double sum = 0;
  for (const Weighted& w : set) sum += w.weight;
  return sum;
}

// The rule as sampler.h states it: everything sorted, everything weighed. -1 where nothing is left.
std::int32_t ReferenceSample(const SampleInput& in) {
  const SamplingParams& p = in.params;
  std::vector<Weighted> set;
  for (std::size_t i = 0; i < in.logits.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    double y = static_cast<double>(in.logits[i]);
    for (const auto& [biased, bias] : p.logit_bias) {
      if (biased == id) y += bias;
    }
    if (!in.allowed.empty() && ((in.allowed[i / 64] >> (i % 64)) & 1) == 0) continue;
    const auto seen = in.history.output_counts().find(id);
    if (seen != in.history.output_counts().end()) {
      y = y > 0 ? y / p.repetition_penalty : y * p.repetition_penalty;
      if (seen->second > 0) {
        y = (y - static_cast<double>(seen->second) * p.frequency_penalty) - p.presence_penalty;
      }
    }
    if (y > -std::numeric_limits<double>::infinity()) set.push_back({id, y, 0});
  }
  if (set.empty()) return -1;
  std::sort(set.begin(), set.end(), [](const Weighted& a, const Weighted& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  if (p.temperature == 0) return set[0].id;
  for (Weighted& w : set) w.weight = numerics::ExpF64((w.logit - set[0].logit) / p.temperature);
  if (p.top_k > 0 && set.size() > static_cast<std::size_t>(p.top_k)) {
    set.resize(static_cast<std::size_t>(p.top_k));
  }
  if (p.top_p < 1) {
    const double threshold = p.top_p * SumById(set);
    double cumulative = 0;
    std::size_t n = 0;
    while (n < set.size() && cumulative < threshold) cumulative += set[n++].weight;
    set.resize(n);
  }
  while (set.back().weight < p.min_p) set.pop_back();
  const double target = in.u * SumById(set);
  double cumulative = 0;
  for (const Weighted& w : set) {
    cumulative += w.weight;
    if (cumulative > target) return w.id;
  }
  ADD_FAILURE() << "the reference drew nothing";
  return set.back().id;
}

struct Case {
  std::vector<float> logits;
  SamplingParams params;
  TokenHistory history;
  std::vector<std::uint64_t> allowed;
  double u = 0;
};

std::vector<float> RandomLogits(Stream& random, std::size_t n, double scale, bool coarse) {
  std::vector<float> logits(n);
  for (float& logit : logits) {
    double value = (random.Unit() + random.Unit() + random.Unit() - 1.5) * scale;
    if (coarse) value = static_cast<double>(static_cast<int>(value));  // ties
    logit = static_cast<float>(value);
  }
  return logits;
}

Case RandomCase(std::uint64_t seed) {
  Stream random(seed);
  Case c;
  const std::uint32_t n = 1 + random.Below(random.Below(4) == 0 ? 3000 : 40);
  c.logits = RandomLogits(random, n, 1 + 40 * random.Unit(), random.Below(2) == 0);
  if (random.Below(4) == 0) {
    for (std::uint32_t i = 0; i + 1 < n; i += 1 + random.Below(4)) c.logits[i] = -kInf;
  }
  SamplingParams& p = c.params;
  if (random.Below(5) != 0) p.temperature = 0.05 + 2 * random.Unit();
  if (random.Below(2) == 0)
    p.top_k = static_cast<int>(1 + random.Below(random.Below(2) ? 20 : 4000));
  if (random.Below(2) == 0) p.top_p = 0.02 + 0.98 * random.Unit();
  if (random.Below(3) == 0) p.min_p = random.Unit();
  if (random.Below(2) == 0) {
    p.repetition_penalty = 0.5 + 2 * random.Unit();
    p.presence_penalty = random.Unit() * 4 - 2;
    p.frequency_penalty = random.Unit() * 4 - 2;
  }
  for (std::uint32_t i = random.Below(6); i > 0; --i) {
    const auto id = static_cast<std::int32_t>(random.Below(n));
    c.history.AddPrompt({&id, 1});
    if (random.Below(2)) c.history.AddOutput(static_cast<std::int32_t>(random.Below(n)));
  }
  if (random.Below(3) == 0) {
    p.logit_bias.emplace_back(static_cast<std::int32_t>(random.Below(n)), random.Unit() * 20 - 10);
  }
  if (random.Below(3) == 0) {
    c.allowed.assign((n + 63) / 64, 0);
    for (std::uint32_t i = 0; i < n; ++i) {
      if (random.Below(3) == 0) c.allowed[i / 64] |= std::uint64_t{1} << (i % 64);
    }
  }
  const std::uint32_t corner = random.Below(8);
  c.u = corner == 0 ? 0 : corner == 1 ? 1 - 0x1p-24 : random.Unit();
  return c;
}

TEST(Sampler, EqualsTheSlowReferenceOnRandomCases) {
  SampleScratch scratch;
  int none_left = 0;
  for (std::uint64_t seed = 1; seed <= 20000; ++seed) {
    const Case c = RandomCase(seed);
    const SampleInput input{c.logits, c.params, c.history, c.allowed, c.u};
    const std::int32_t expected = ReferenceSample(input);
    const auto got = Sample(input, scratch);
    none_left += expected == -1;
    ASSERT_EQ(got.ok(), expected != -1) << "case " << seed;
    if (got.ok()) {
      ASSERT_EQ(*got, expected) << "case " << seed;
    }
  }
  EXPECT_GT(none_left, 10);
}

TEST(Sampler, EqualsTheReferenceOnALargeVocabulary) {
  SampleScratch scratch;
  const TokenHistory history;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Stream random(seed);
    const std::vector<float> logits =
        RandomLogits(random, 20000, 2 + 30 * random.Unit(), seed % 2 == 0);
    SamplingParams p{.temperature = 0.2 + random.Unit() * 2};
    if (seed % 3 == 1) p.top_p = random.Unit() * 0.99 + 0.01;
    if (seed % 3 == 2) p.top_k = 300;
    const SampleInput input{logits, p, history, {}, random.Unit()};
    ASSERT_EQ(*Sample(input, scratch), ReferenceSample(input)) << "case " << seed;
  }
}

TEST(Sampler, ArgmaxTakesTheLowestIdOfEqualLogits) {
  SampleScratch scratch;
  const TokenHistory history;
  const std::vector<float> logits = {1, 7, 3, 7, 7};
  EXPECT_EQ(*Sample({logits, {}, history, {}, 0}, scratch), 1);
  const SamplingParams biased{.logit_bias = {{1, -1.0}}};
  EXPECT_EQ(*Sample({logits, biased, history, {}, 0}, scratch), 3);
}

TEST(Sampler, NamesNanAndInfinityInsteadOfChoosing) {
  SampleScratch scratch;
  const TokenHistory history;
  for (const double temperature : {0.0, 1.0}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInf}) {
      const std::vector<float> logits = {1, bad, 3};
      const auto got = Sample({logits, {.temperature = temperature}, history, {}, 0.5}, scratch);
      ASSERT_FALSE(got.ok());
      EXPECT_NE(got.error().text().find(bad != bad ? "NaN" : "+inf"), std::string::npos);
    }
  }
}

TEST(Sampler, RefusesWhenEveryTokenIsRuledOut) {
  SampleScratch scratch;
  const TokenHistory history;
  const std::vector<float> logits = {1, 2, 3};
  const std::vector<std::uint64_t> none = {0};
  EXPECT_FALSE(Sample({logits, {}, history, none, 0}, scratch).ok());
  const std::vector<float> all_ruled_out = {-kInf, -kInf};
  EXPECT_FALSE(Sample({all_ruled_out, {}, history, {}, 0}, scratch).ok());
}

// Expected counts by the softmax; the bound is five standard deviations of a binomial count.
TEST(Sampler, DrawsFollowTheSoftmax) {
  SampleScratch scratch;
  const TokenHistory history;
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, -1.0f};
  constexpr double kTemperature = 0.8;
  constexpr int kDraws = 40000;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kDraws; ++i) {
    const double u = RandomUnit(
        {.seed = 5, .purpose = RandomPurpose::kSample, .position = static_cast<std::uint64_t>(i)});
    ++counts[static_cast<std::size_t>(
        *Sample({logits, {.temperature = kTemperature}, history, {}, u}, scratch))];
  }
  double total = 0;
  for (const float logit : logits)
    total += numerics::ExpF64(static_cast<double>(logit) / kTemperature);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double p = numerics::ExpF64(static_cast<double>(logits[i]) / kTemperature) / total;
    const double deviation = counts[i] - kDraws * p;
    EXPECT_LT(deviation * deviation, 25 * kDraws * p * (1 - p)) << "token " << i;
  }
}

TEST(Sampler, TopKTopPAndMinPNeverLetAnExcludedTokenThrough) {
  SampleScratch scratch;
  const TokenHistory history;
  const std::vector<float> logits = {3.0f, 2.0f, 1.0f, 0.0f};  // probabilities 0.64 0.24 0.09 0.03
  const auto largest_id = [&](const SamplingParams& params) {
    std::int32_t largest = 0;
    for (std::uint64_t i = 0; i < 4000; ++i) {
      const double u = RandomUnit({.seed = 6, .purpose = RandomPurpose::kSample, .position = i});
      largest = std::max(largest, *Sample({logits, params, history, {}, u}, scratch));
    }
    return largest;
  };
  EXPECT_EQ(largest_id({.temperature = 1}), 3);
  EXPECT_EQ(largest_id({.temperature = 1, .top_k = 2}), 1);
  EXPECT_EQ(largest_id({.temperature = 1, .top_p = 0.6}), 0);
  EXPECT_EQ(largest_id({.temperature = 1, .top_p = 0.9}), 2);
  EXPECT_EQ(largest_id({.temperature = 1, .min_p = 0.3}), 1);
}

TEST(Sampler, LogProbabilitiesAreOfTheUnprocessedLogits) {
  SampleScratch scratch;
  const std::vector<float> logits = {1, 4, 2, 4, -kInf};
  const TokenLogprob got = LogprobOf(logits, 2, 3, scratch);
  double sum = 0;
  for (int i = 0; i < 4; ++i)
    sum += numerics::ExpF64(static_cast<double>(logits[static_cast<std::size_t>(i)]));
  const double log_sum = numerics::LogF64(sum);
  EXPECT_NEAR(got.logprob, 2 - log_sum, 1e-12);
  ASSERT_EQ(got.top.size(), 3u);
  EXPECT_EQ(got.top[0].first, 1);
  EXPECT_EQ(got.top[1].first, 3);
  EXPECT_EQ(got.top[2].first, 2);
  EXPECT_EQ(got.top[2].second, got.logprob);
  EXPECT_EQ(LogprobOf(logits, 0, 1000, scratch).top.size(), 4u);
}

TEST(CandidateOrder, IsThatOfAFullSortWithHugeAndEqualLogits) {
  std::vector<std::vector<double>> cases = {{5, 5, 5, 5}, {1e300, -1e300, 1e300, 0}, {}};
  Stream random(3);
  for (int i = 0; i < 5000; ++i) cases[2].push_back(random.Unit() * 300 - 150);
  for (const std::vector<double>& logits : cases) {
    std::vector<std::int32_t> expected(logits.size());
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<std::int32_t>(i);
    std::stable_sort(expected.begin(), expected.end(), [&](std::int32_t a, std::int32_t b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    std::vector<Candidate> storage;
    CandidateOrder order(logits, *std::max_element(logits.begin(), logits.end()), storage);
    for (std::size_t i = 0; i < logits.size(); ++i) ASSERT_EQ(order.At(i)->id, expected[i]) << i;
    EXPECT_EQ(order.At(logits.size()), nullptr);
  }
}

// Prints what one choice costs for the largest vocabularies in use; the figures of README.md.
TEST(Sampler, DISABLED_TimesOfOneChoice) {
  SampleScratch scratch;
  const TokenHistory history;
  Stream random(11);
  const std::vector<float> logits = RandomLogits(random, 151936, 24, false);
  const auto time = [&](const char* name, const SamplingParams& params) {
    double best_us = 1e9;
    for (int round = 0; round < 30; ++round) {
      const auto start = std::chrono::steady_clock::now();
      ASSERT_TRUE(Sample({logits, params, history, {}, random.Unit()}, scratch).ok());
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - start;
      best_us = std::min(best_us, took.count());
    }
    std::printf("%-28s %8.1f us\n", name, best_us);
  };
  time("greedy", {});
  time("greedy, bias", {.logit_bias = {{5, 1.0}}});
  time("temperature", {.temperature = 1});
  time("temperature, top-k 40", {.temperature = 0.7, .top_k = 40});
  time("temperature, top-p 0.95", {.temperature = 0.7, .top_p = 0.95});
  time("temperature, min-p 0.05", {.temperature = 0.7, .min_p = 0.05});
}

}  // namespace
}  // namespace tatara::generate
