// Log-probabilities of a prompt's tokens: those of all logits at once, however the prompt runs.
#include <gtest/gtest.h>

#include <algorithm>

#include "fake_model.h"
#include "tatara/numerics/ops.h"

namespace tatara::generate {
namespace {

using test::FakeEngine;
using test::FakePrompt;
using test::kFakeVocabulary;
using test::MakeFakeEngine;

Request Scored(std::vector<std::int32_t> prompt, int tokens_max) {
  return {.prompt = std::move(prompt),
          .tokens_max = tokens_max,
          .prompt_logprobs = 2,
          .ignore_end = true};
}

void ExpectScores(const std::vector<TokenLogprob>& found, const std::vector<std::int32_t>& prompt) {
  ASSERT_EQ(found.size() + 1, prompt.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto logits = test::FakeLogitsAfter(std::span(prompt).first(i + 1));
    const double log_sum = numerics::LogSumExp(logits);
    const std::int32_t next = prompt[i + 1];
    EXPECT_EQ(found[i].id, next);
    EXPECT_EQ(found[i].logprob,
              static_cast<double>(logits[static_cast<std::size_t>(next)]) - log_sum)
        << i;
    ASSERT_EQ(found[i].top.size(), 2u);
    EXPECT_EQ(found[i].top[0].second,
              static_cast<double>(*std::max_element(logits.begin(), logits.end())) - log_sum);
  }
}

TEST(PromptScores, AreThoseOfAllLogitsAlone) {
  FakeEngine fake = MakeFakeEngine({.n_threads = 2, .context_tokens = 512});
  for (const std::size_t n : {1, 2, 63, 64, 65, 200, 511}) {
    const auto prompt = FakePrompt(7, n);
    const auto completion = fake.engine->Generate(Scored(prompt, 1));
    ASSERT_TRUE(completion.ok()) << completion.error().text();
    EXPECT_EQ(completion->token_ids.size(), 1u);
    ExpectScores(completion->prompt_logprobs, prompt);
  }
}

// Prompts that share their starts, with little memory, small chunks, preemption, and requests that
// only generate among them.
TEST(PromptScores, AreTheSameInAMix) {
  for (const bool fair : {true, false}) {
    for (const int chunk : {5, 64, 300}) {
      FakeEngine fake = MakeFakeEngine({.n_threads = 2,
                                        .context_tokens = 512,
                                        .cache_tokens = 640,
                                        .sequences_max = 6,
                                        .chunk_tokens = chunk,
                                        .fair = fair});
      std::vector<std::vector<std::int32_t>> prompts;
      std::vector<Completion> done(10);
      int n_done = 0;
      for (std::size_t i = 0; i < done.size(); ++i) {
        prompts.push_back(FakePrompt(3, 30 + 17 * (i % 7)));  // one starts as another
        Request request = Scored(prompts[i], i % 3 == 0 ? 0 : 90);
        if (i % 4 == 3) request = {.prompt = prompts[i], .tokens_max = 200, .ignore_end = true};
        request.fair_key = std::to_string(i % 2);
        ASSERT_TRUE(fake.engine
                        ->Submit(std::move(request), {},
                                 [&, i](Result<Completion> result) {
                                   ASSERT_TRUE(result.ok()) << result.error().text();
                                   done[i] = std::move(result).value();
                                   ++n_done;
                                 })
                        .ok());
      }
      while (fake.engine->Step()) {
      }
      ASSERT_EQ(n_done, 10);
      EXPECT_GT(fake.engine->counters().preemptions, 0);
      for (std::size_t i = 0; i < done.size(); ++i) {
        if (i % 4 == 3) {
          EXPECT_TRUE(done[i].prompt_logprobs.empty());
        } else {
          ExpectScores(done[i].prompt_logprobs, prompts[i]);
        }
      }
      EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
    }
  }
}

TEST(PromptScores, NothingNeedBeGenerated) {
  FakeEngine fake = MakeFakeEngine({.n_threads = 1, .context_tokens = 128});
  const auto prompt = FakePrompt(5, 128);  // all of the context
  const auto completion = fake.engine->Generate(Scored(prompt, 0));
  ASSERT_TRUE(completion.ok()) << completion.error().text();
  EXPECT_TRUE(completion->token_ids.empty());
  EXPECT_EQ(completion->text, "");
  EXPECT_EQ(completion->finish_reason, FinishReason::kLength);
  EXPECT_EQ(fake.engine->counters().tokens_generated, 0);
  ExpectScores(completion->prompt_logprobs, prompt);
  Request without = Scored(prompt, 0);
  without.prompt_logprobs = -1;
  EXPECT_FALSE(fake.engine->Generate(std::move(without)).ok());
}

TEST(PromptScores, APassHasFewOfThem) {
  FakeEngine fake = MakeFakeEngine({.n_threads = 1, .context_tokens = 512, .chunk_tokens = 512});
  ASSERT_TRUE(fake.engine->Generate(Scored(FakePrompt(5, 400), 0)).ok());
  EXPECT_LE(fake.model->tokens_most, 64);
  ASSERT_TRUE(fake.engine->Generate({.prompt = FakePrompt(6, 400), .tokens_max = 1}).ok());
  EXPECT_EQ(fake.model->tokens_most, 400);
}

TEST(PromptScores, LogitsThatAreNoNumbersEndTheRequestOnly) {
  FakeEngine fake = MakeFakeEngine({.n_threads = 2, .context_tokens = 512});
  fake.model->broken_after = 100;
  EXPECT_FALSE(fake.engine->Generate(Scored(FakePrompt(5, 300), 4)).ok());
  EXPECT_FALSE(fake.engine->Generate(Scored(FakePrompt(5, 102), 4)).ok());
  EXPECT_TRUE(fake.engine->Generate(Scored(FakePrompt(5, 60), 4)).ok());
  EXPECT_EQ(fake.engine->counters().requests_failed, 2);
}

}  // namespace
}  // namespace tatara::generate
