// Real weights against the float64 reference (data/golden, whose README says what these tolerances
// can and cannot see). The greedy ids are checked in one batch, fed as the reference chose them:
// that batches and single tokens give the same bits is tested elsewhere.

#include <gtest/gtest.h>

#include <cmath>

#include "golden_support.h"
#include "tatara/numerics/ops.h"

namespace tatara::test {
namespace {

using numerics::Activations;

struct Tolerances {
  Activations activations;
  double logit;  // on `top` and logsumexp; of log-probabilities where activations are rounded
  double nll_mean;
  double nll_mean_long;
  double greedy_margin;  // ids must agree until the reference's lead is smaller than this
};
constexpr Tolerances kExact = {Activations::kF32, 2e-3, 1e-4, 1e-4, 4e-3};
constexpr Tolerances kRounded = {Activations::kInt8, 1.0, 0.1, 0.02, 0.5};
// K types round activations per 256 values, the README's simulation per 32. On this model's
// outliers that makes the noise of a logit half as large again (0.42 against 0.27 on `code`, found
// alike by that simulation with blocks of 256), and one choice turns at a lead of 0.55
// (docs/decisions/0004-gemma-greedy-margin.md).
constexpr Tolerances kRoundedGemma = {Activations::kInt8, 1.0, 0.1, 0.02, 0.6};
constexpr std::size_t kChunk = 96;  // logits of this many positions at once

void CheckLast(const GoldenCase& c, const Tolerances& tolerances, std::span<const float> logits) {
  const double logsumexp = numerics::LogSumExp(logits);
  // Rounding moves all logits of a position together, which no probability sees.
  const bool exact = tolerances.activations == Activations::kF32;
  const double shift = exact ? 0 : logsumexp - c.logsumexp;
  if (exact) {
    EXPECT_NEAR(logsumexp, c.logsumexp, tolerances.logit) << c.name;
  }
  for (const auto& [id, logit] : c.top) {
    EXPECT_NEAR(double{logits[static_cast<std::size_t>(id)]} - shift, logit, tolerances.logit)
        << c.name << ", id " << id;
  }
}

void CheckCase(ModelRunner& runner, const GoldenCase& c, const Tolerances& tolerances) {
  std::vector<std::int32_t> fed = c.token_ids;
  for (std::size_t i = 0; i + 1 < c.greedy.size(); ++i) fed.push_back(c.greedy[i].first);
  const std::size_t n_prompt = c.token_ids.size();
  double nll = 0;
  bool comparing = true;
  runner.Run(fed, kChunk, 0, [&](std::size_t position, std::span<const float> logits) {
    for (const float logit : logits) ASSERT_TRUE(std::isfinite(logit)) << c.name;
    if (position + 1 < n_prompt) {
      const auto next = static_cast<std::size_t>(c.token_ids[position + 1]);
      nll += numerics::LogSumExp(logits) - double{logits[next]};
    }
    if (position + 1 == n_prompt) CheckLast(c, tolerances, logits);
    if (position + 1 < n_prompt || c.greedy.empty()) return;
    const auto [id, margin] = c.greedy[position + 1 - n_prompt];
    comparing = comparing && margin >= tolerances.greedy_margin;
    if (comparing) {
      EXPECT_EQ(numerics::ArgMax(logits), id) << c.name << ", step " << position + 1 - n_prompt;
    }
  });
  const double allowed = c.name == "long" ? tolerances.nll_mean_long : tolerances.nll_mean;
  EXPECT_NEAR(nll / static_cast<double>(n_prompt - 1), c.nll_mean, allowed) << c.name;
}

void CheckModel(const std::filesystem::path& path, const std::filesystem::path& golden,
                const Tolerances& tolerances, bool with_long) {
  ModelRunner runner(path, tolerances.activations, 2, 768);
  for (const GoldenCase& c : ReadGoldenCases(golden)) {
    if (c.name == "long" && !with_long) continue;
    CheckCase(runner, c, tolerances);
  }
  RecordEvidence({runner.architecture(), "real weights", golden.stem().string()});
}

TEST(GoldenLlama, SmolLm2MeetsTheReferenceExactly) {
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  TATARA_REQUIRE_MODEL(path, "smollm2-135m");
  CheckModel(path, golden, kExact, true);
}

TEST(GoldenLlama, SmolLm2WithRoundedActivationsIsClose) {
  TATARA_REQUIRE_DATA(golden, "golden/SmolLM2-135M-Instruct.Q4_1.json");
  TATARA_REQUIRE_MODEL(path, "smollm2-135m");
  CheckModel(path, golden, kRounded, true);
}

TEST(GoldenQwen2, CoderMeetsTheReferenceExactly) {
  TATARA_REQUIRE_DATA(golden, "golden/qwen2.5-coder-0.5b-instruct-q4_k_m.json");
  TATARA_REQUIRE_MODEL(path, "qwen2.5-coder-0.5b");
  CheckModel(path, golden, kExact, RunAll());
}

TEST(GoldenQwen2, CoderWithRoundedActivationsIsClose) {
  TATARA_REQUIRE_DATA(golden, "golden/qwen2.5-coder-0.5b-instruct-q4_k_m.json");
  TATARA_REQUIRE_MODEL(path, "qwen2.5-coder-0.5b");
  CheckModel(path, golden, kRounded, RunAll());
}

// The long case is the one that sees a window of 512.
TEST(GoldenGemma3, MeetsTheReferenceExactly) {
  TATARA_REQUIRE_DATA(golden, "golden/gemma-3-270m-q4_k_m.json");
  TATARA_REQUIRE_MODEL(path, "gemma3-270m");
  CheckModel(path, golden, kExact, true);
}

TEST(GoldenGemma3, WithRoundedActivationsIsClose) {
  TATARA_REQUIRE_DATA(golden, "golden/gemma-3-270m-q4_k_m.json");
  TATARA_REQUIRE_MODEL(path, "gemma3-270m");
  CheckModel(path, golden, kRoundedGemma, RunAll());
}

// Token by token from the model's own choices, as a user sees it.
TEST(GoldenQwen2, GreedyDecodingFollowsTheReference) {
  TATARA_REQUIRE_DATA(golden, "golden/qwen2.5-coder-0.5b-instruct-q4_k_m.json");
  TATARA_REQUIRE_MODEL(path, "qwen2.5-coder-0.5b");
  const GoldenCase c = ReadGoldenCases(golden).front();
  ModelRunner runner(path, Activations::kF32, 2, 128);
  std::vector<std::int32_t> tokens = c.token_ids;
  for (const auto& [id, margin] : c.greedy) {
    if (margin < kExact.greedy_margin) break;
    const std::int64_t chosen = numerics::ArgMax(runner.LastLogits(tokens));
    ASSERT_EQ(chosen, id) << "after " << tokens.size() << " tokens";
    tokens.push_back(static_cast<std::int32_t>(chosen));
    if (tokens.size() > c.token_ids.size() + 8 && !RunAll()) break;
  }
}

}  // namespace
}  // namespace tatara::test
