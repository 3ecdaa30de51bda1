#include "batch_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>

#include "fake_model.h"
#include "test_support.h"

namespace tatara::generate {
namespace {

using test::FakeEngine;
using test::FakePrompt;
using test::FakeTokenizer;
using test::kFakeVocabulary;
using test::MakeFakeEngine;
using ::testing::HasSubstr;

// What a request must give, computed without engine, cache and batch.
Completion Reference(const Request& request) {
  Completion out;
  const FakeTokenizer tokenizer;
  TextOutput output(tokenizer, request.stop);
  std::vector<std::int32_t> tokens = request.prompt;
  TokenHistory history;
  history.AddPrompt(request.prompt);
  SampleScratch scratch;
  Sha256 digest;
  out.finish_reason = FinishReason::kLength;
  for (int i = 0; i < request.tokens_max; ++i) {
    const std::vector<float> logits = test::FakeLogitsAfter(tokens);
    digest.Update(std::as_bytes(std::span(logits)));
    const double u = RandomUnit({.seed = request.sampling.seed.value_or(0),
                                 .purpose = RandomPurpose::kSample,
                                 .choice = request.choice,
                                 .position = static_cast<std::uint64_t>(i)});
    const std::int32_t id = *Sample({logits, request.sampling, history, {}, u}, scratch);
    if (request.top_logprobs >= 0) {
      out.logprobs.push_back(LogprobOf(logits, id, request.top_logprobs, scratch));
    }
    tokens.push_back(id);
    history.AddOutput(id);
    out.token_ids.push_back(id);
    if (id == test::kFakeEnd && !request.ignore_end) {
      out.finish_reason = FinishReason::kStop;
      break;
    }
    out.text += output.Push(id);
    if (output.stopped()) {
      out.finish_reason = FinishReason::kStop;
      break;
    }
  }
  out.text += output.Flush();
  if (output.stopped()) out.finish_reason = FinishReason::kStop;
  out.logits_sha256 = ToHex(digest.Finish());
  return out;
}

void ExpectSame(const Completion& got, const Completion& expected, const std::string& where) {
  EXPECT_EQ(got.token_ids, expected.token_ids) << where;
  EXPECT_EQ(got.text, expected.text) << where;
  EXPECT_EQ(FinishReasonName(got.finish_reason), FinishReasonName(expected.finish_reason)) << where;
  EXPECT_EQ(got.logits_sha256, expected.logits_sha256) << where;
  ASSERT_EQ(got.logprobs.size(), expected.logprobs.size()) << where;
  for (std::size_t i = 0; i < got.logprobs.size(); ++i) {
    EXPECT_EQ(got.logprobs[i].logprob, expected.logprobs[i].logprob) << where;
    EXPECT_EQ(got.logprobs[i].top, expected.logprobs[i].top) << where;
  }
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  int Below(int n) {
    return static_cast<int>(
        RandomWords(
            {.seed = seed_, .purpose = RandomPurpose::kTest, .choice = 77, .position = n_++})[0] %
        static_cast<std::uint32_t>(n));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t n_ = 0;
};

Request RandomRequest(Dice& dice) {
  Request r;
  // A few prompts with long common starts, cut at any length.
  r.prompt = FakePrompt(static_cast<std::uint64_t>(dice.Below(3)),
                        static_cast<std::size_t>(1 + dice.Below(260)));
  if (dice.Below(2) == 0) {
    const auto tail = FakePrompt(static_cast<std::uint64_t>(100 + dice.Below(50)),
                                 static_cast<std::size_t>(dice.Below(60)));
    r.prompt.insert(r.prompt.end(), tail.begin(), tail.end());
  }
  r.tokens_max = 1 + dice.Below(190);
  r.sampling.seed = static_cast<std::uint64_t>(dice.Below(1000));
  if (dice.Below(3) != 0) r.sampling.temperature = 0.5 + dice.Below(3);
  if (dice.Below(3) == 0) r.sampling.top_k = 1 + dice.Below(20);
  if (dice.Below(3) == 0) r.sampling.repetition_penalty = 1.3;
  if (dice.Below(3) == 0) r.sampling.frequency_penalty = 0.4;
  if (dice.Below(3) == 0) r.stop = {"aba", "the a", "あ"};
  if (dice.Below(3) == 0) r.top_logprobs = dice.Below(4);
  r.ignore_end = dice.Below(2) == 0;
  r.digest_logits = true;
  r.choice = static_cast<std::uint32_t>(dice.Below(2));
  r.cache_scope = dice.Below(4) == 0 ? "other" : "";
  r.fair_key = std::string(1, static_cast<char>('a' + dice.Below(3)));
  return r;
}

struct Life {
  Request request;
  RequestId id = 0;
  std::string streamed;
  std::optional<Result<Completion>> result;
  bool cancelled = false;
};

// Random requests at random times, some cancelled, in a random engine with little memory: every one
// gets what it gets alone, and nothing stays behind.
EngineCounters Simulate(std::uint64_t seed, int page_tokens = 64,
                        const std::filesystem::path& spill_dir = {}) {
  Dice dice(seed);
  EngineOptions options{.n_threads = 1 + dice.Below(3), .context_tokens = 512};
  options.cache_tokens = 64 * (8 + dice.Below(8));
  options.sequences_max = 1 + dice.Below(8);
  options.chunk_tokens = dice.Below(2) == 0 ? 1 + dice.Below(12) : 64 + dice.Below(400);
  options.prefix_cache = dice.Below(4) != 0;
  options.fair = dice.Below(5) != 0;
  options.step_tokens = dice.Below(3) == 0 ? 1 + dice.Below(100) : 0;
  options.step_ms_max = dice.Below(2) == 0 ? 1 : 0;
  if (!spill_dir.empty()) {
    options.prefix_cache = true;
    options.spill_dir = spill_dir;
    options.spill_bytes_max = 1000 * (16 + dice.Below(64));
    options.model_sha256 = "fake";
  }
  FakeEngine fake = MakeFakeEngine(options, 4096, page_tokens);
  std::vector<Life> lives(24);
  std::size_t n_submitted = 0;
  int calls = 0;
  const auto step = [&] {
    if (fake.engine->Step()) ++calls;
    EXPECT_LE(fake.model->tokens_most, std::max(options.chunk_tokens, 1));
    EXPECT_LT(calls, 100000) << "the engine does not come to an end";
  };
  while (n_submitted < lives.size() ||
         fake.engine->counters().running + fake.engine->counters().waiting > 0) {
    if (n_submitted < lives.size() && dice.Below(4) == 0) {
      Life& life = lives[n_submitted++];
      life.request = RandomRequest(dice);
      auto id = fake.engine->Submit(
          life.request, [&life](std::string_view text) { return life.streamed += text, true; },
          [&life](Result<Completion> result) {
            EXPECT_FALSE(life.result.has_value()) << "told twice";
            life.result.emplace(std::move(result));
          });
      EXPECT_TRUE(id.ok()) << id.error().text();
      life.id = *id;
    }
    if (n_submitted > 0 && dice.Below(60) == 0) {
      Life& life = lives[static_cast<std::size_t>(dice.Below(static_cast<int>(n_submitted)))];
      life.cancelled = life.cancelled || !life.result;
      fake.engine->Cancel(life.id);
    }
    step();
    if (calls >= 100000) break;
  }
  for (std::size_t i = 0; i < lives.size(); ++i) {
    const std::string where = fmt::format("seed {}, request {}", seed, i);
    EXPECT_TRUE(lives[i].result && lives[i].result->ok()) << where;
    if (!lives[i].result || !lives[i].result->ok()) continue;
    const Completion& got = lives[i].result->value();
    const Completion expected = Reference(lives[i].request);
    if (lives[i].cancelled) {
      EXPECT_EQ(got.finish_reason, FinishReason::kCancelled) << where;
      EXPECT_LE(got.token_ids.size(), expected.token_ids.size()) << where;
      EXPECT_TRUE(
          std::equal(got.token_ids.begin(), got.token_ids.end(), expected.token_ids.begin()))
          << where;
      EXPECT_TRUE(expected.text.starts_with(lives[i].streamed)) << where;
    } else {
      ExpectSame(got, expected, where);
      EXPECT_EQ(got.text, lives[i].streamed) << where;
    }
  }
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
  EXPECT_EQ(fake.model->n_forwards, fake.engine->counters().passes);
  return fake.engine->counters();
}

TEST(BatchEngine, EveryRequestInAnyMixGetsWhatItGetsAlone) {
  EngineCounters sum;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const EngineCounters c = Simulate(seed);
    sum.preemptions += c.preemptions;
    sum.pages_evicted += c.pages_evicted;
    sum.prefix_hits += c.prefix_hits;
    sum.requests_cancelled += c.requests_cancelled;
    sum.places_given_up += c.places_given_up;
    if (HasFailure()) return;
  }
  // The mixes would prove little if these had not happened.
  EXPECT_GT(sum.preemptions, 50);
  EXPECT_GT(sum.pages_evicted, 500);
  EXPECT_GT(sum.prefix_hits, 200);
  EXPECT_GT(sum.requests_cancelled, 20);
  EXPECT_GT(sum.places_given_up, 20);
}

// The fake model's logits and states come out of the very bytes that went to disk and back.
TEST(BatchEngine, PagesThatWereOnDiskGiveTheSame) {
  EngineCounters sum;
  const tatara::test::ScratchDir scratch;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    // One folder for all: later engines find what earlier ones left.
    const EngineCounters c = Simulate(seed, seed % 5 == 0 ? 128 : 64, scratch.path());
    sum.preemptions += c.preemptions;
    sum.pages_evicted += c.pages_evicted;
    sum.pages_spilled += c.pages_spilled;
    sum.pages_restored += c.pages_restored;
    sum.spill_rejected += c.spill_rejected;
    if (HasFailure()) return;
  }
  EXPECT_GT(sum.preemptions, 20);
  EXPECT_GT(sum.pages_evicted, 200);
  EXPECT_GT(sum.pages_spilled, 100);
  EXPECT_GT(sum.pages_restored, 100);
  EXPECT_EQ(sum.spill_rejected, 0);
}

// Models with much recurrent state have larger pages.
TEST(BatchEngine, PagesOfOtherSizesGiveTheSame) {
  for (const int page_tokens : {128, 192}) {
    EngineCounters sum;
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
      const EngineCounters c = Simulate(seed, page_tokens);
      sum.preemptions += c.preemptions;
      sum.pages_evicted += c.pages_evicted;
      sum.prefix_hits += c.prefix_hits;
      if (HasFailure()) return;
    }
    EXPECT_GT(sum.preemptions, 20) << page_tokens;
    EXPECT_GT(sum.pages_evicted, 50) << page_tokens;
    EXPECT_GT(sum.prefix_hits, 5) << page_tokens;
  }
}

// Runs all to the end; completions in the order of the requests.
std::vector<Completion> RunAllOf(BatchEngine& engine, const std::vector<Request>& requests) {
  std::vector<Completion> out(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto id = engine.Submit(requests[i], {}, [&out, i](Result<Completion> result) {
      ASSERT_TRUE(result.ok()) << result.error().text();
      out[i] = std::move(result).value();
    });
    EXPECT_TRUE(id.ok()) << id.error().text();
  }
  while (engine.Step()) {
  }
  return out;
}

Request Plain(std::uint64_t seed, std::size_t n_prompt, int tokens_max) {
  return {.prompt = FakePrompt(seed, n_prompt), .tokens_max = tokens_max, .ignore_end = true};
}

TEST(BatchEngine, ABatchIsOnePassOverTheWeights) {
  FakeEngine fake =
      MakeFakeEngine({.context_tokens = 1024, .cache_tokens = 8192, .step_ms_max = 0});
  std::vector<Request> requests;
  for (std::uint64_t i = 0; i < 8; ++i) requests.push_back(Plain(i, 40, 30));
  RunAllOf(*fake.engine, requests);
  EXPECT_EQ(fake.model->n_forwards, 30);  // one takes all prompts and gives the first tokens
  EXPECT_EQ(fake.model->slices_most, 8);
  EXPECT_EQ(fake.engine->counters().pass_sequences_most, 8);
  EXPECT_EQ(fake.engine->counters().tokens_generated, 8 * 30);
}

TEST(BatchEngine, AShortPromptDoesNotWaitForALongOne) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 8192, .chunk_tokens = 64});
  bool long_done = false;
  ASSERT_TRUE(fake.engine->Submit(Plain(1, 3000, 1), {}, [&](auto) { long_done = true; }).ok());
  ASSERT_TRUE(fake.engine->Step());
  bool short_done = false;
  ASSERT_TRUE(fake.engine->Submit(Plain(2, 20, 3), {}, [&](auto) { short_done = true; }).ok());
  for (int i = 0; i < 3; ++i) fake.engine->Step();
  EXPECT_TRUE(short_done);
  EXPECT_FALSE(long_done);
  while (fake.engine->Step()) {
  }
  EXPECT_TRUE(long_done);
}

TEST(BatchEngine, MorePromptsThanTokensOfAPassAllMoveOn) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 4096, .sequences_max = 8, .chunk_tokens = 3});
  std::vector<int> finished(8);
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(fake.engine
                    ->Submit(Plain(static_cast<std::uint64_t>(i), 30, 1), {},
                             [&, i](auto) { finished[i] = 1; })
                    .ok());
  }
  for (int i = 0; i < 70; ++i) fake.engine->Step();
  EXPECT_THAT(finished, ::testing::Each(0)) << "one was served before the others";
  for (int i = 0; i < 10; ++i) fake.engine->Step();
  EXPECT_THAT(finished, ::testing::Each(1));
}

TEST(BatchEngine, AWarmPrefixIsTakenOverWithinItsScopeOnly) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 4096});
  Request request = Plain(1, 200, 4);
  request.cache_scope = "tenant a";
  const Completion cold = *fake.engine->Generate(request);
  EXPECT_EQ(cold.cached_tokens, 0);
  const Completion warm = *fake.engine->Generate(request);
  EXPECT_EQ(warm.cached_tokens, 192);
  EXPECT_EQ(warm.token_ids, cold.token_ids);
  EXPECT_EQ(fake.engine->counters().prefix_tokens_reused, 192);
  request.cache_scope = "tenant b";
  EXPECT_EQ(fake.engine->Generate(request)->cached_tokens, 0);
  // All of a prompt but its last token may come from the cache, never that.
  request.prompt.resize(128);
  EXPECT_EQ(fake.engine->Generate(request)->cached_tokens, 64);
}

TEST(BatchEngine, APrefixIsTakenOverInWholePages) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 4096}, 4096, 128);
  EXPECT_EQ(fake.engine->counters().pages_total, 32);
  const Completion cold = *fake.engine->Generate(Plain(1, 300, 4));
  const Completion warm = *fake.engine->Generate(Plain(1, 300, 4));
  EXPECT_EQ(warm.cached_tokens, 256);
  EXPECT_EQ(warm.token_ids, cold.token_ids);
}

TEST(BatchEngine, AnAnswerIsAWarmPrefixOfTheNextTurn) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 4096});
  Request request = Plain(1, 100, 60);
  const Completion first = *fake.engine->Generate(request);
  request.prompt.insert(request.prompt.end(), first.token_ids.begin(), first.token_ids.end());
  EXPECT_EQ(fake.engine->Generate(request)->cached_tokens, 128);
}

TEST(BatchEngine, EqualPromptsAtOnceAreComputedOnce) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 8192});
  std::vector<Request> requests(8, Plain(1, 260, 2));
  for (std::uint32_t i = 0; i < 8; ++i) {
    requests[i].choice = i;
    requests[i].sampling = {.temperature = 1, .seed = 5};
  }
  const auto got = RunAllOf(*fake.engine, requests);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(got[i].token_ids, Reference(requests[i]).token_ids);
  EXPECT_EQ(fake.engine->counters().tokens_computed, 260 + 7 * 4 + 8);
}

TEST(BatchEngine, CancellingFreesThePagesWithinOneStep) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 4096, .prefix_cache = false});
  std::optional<Result<Completion>> result;
  const auto id =
      fake.engine->Submit(Plain(1, 100, 500), {}, [&](auto r) { result.emplace(std::move(r)); });
  ASSERT_TRUE(id.ok());
  for (int i = 0; i < 10; ++i) fake.engine->Step();
  EXPECT_GT(fake.engine->counters().pages_in_use, 0);
  fake.engine->Cancel(*id);
  EXPECT_TRUE(fake.engine->Step());
  ASSERT_TRUE(result && result->ok());
  EXPECT_EQ(result->value().finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(result->value().token_ids.size(), 10u);
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
  EXPECT_FALSE(fake.engine->Step());
}

TEST(BatchEngine, SayingNoToTextCancels) {
  FakeEngine fake = MakeFakeEngine({});
  int calls = 0;
  const auto got =
      fake.engine->Generate(Plain(1, 10, 500), [&](std::string_view) { return ++calls < 3; });
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
}

TEST(BatchEngine, CallbacksMaySubmitAndCancel) {
  FakeEngine fake = MakeFakeEngine({});
  RequestId other = 0;
  std::optional<FinishReason> other_reason;
  std::optional<Result<Completion>> follower;
  other =
      *fake.engine->Submit(Plain(1, 10, 400), {}, [&](auto r) { other_reason = r->finish_reason; });
  const auto on_text = [&](std::string_view) {
    fake.engine->Cancel(other);
    return true;
  };
  const auto done = [&](Result<Completion>) {
    ASSERT_TRUE(
        fake.engine->Submit(Plain(3, 10, 2), {}, [&](auto r) { follower.emplace(std::move(r)); })
            .ok());
  };
  ASSERT_TRUE(fake.engine->Submit(Plain(2, 10, 20), on_text, done).ok());
  while (fake.engine->Step()) {
  }
  EXPECT_EQ(other_reason, FinishReason::kCancelled);
  ASSERT_TRUE(follower && follower->ok());
}

TEST(BatchEngine, RefusesWithTheNumbers) {
  FakeEngine fake = MakeFakeEngine({.context_tokens = 1000, .cache_tokens = 512, .queue_max = 2});
  const auto refused = [&](Request request, std::string_view part) {
    const auto id = fake.engine->Submit(std::move(request), {}, {});
    ASSERT_FALSE(id.ok());
    EXPECT_THAT(id.error().text(), HasSubstr(part));
  };
  refused(Plain(1, 900, 101),
          "prompt of 900 tokens + at most 101 to generate > context of 1000 tokens");
  refused(Plain(1, 500, 13), "> cache of 512 tokens");
  refused(Plain(1, 0, 13), "no token");
  refused(Plain(1, 10, 0), "tokens_max is 0");
  Request bad = Plain(1, 10, 5);
  bad.prompt[3] = kFakeVocabulary;
  refused(bad, "prompt token 3 is 40");
  bad.prompt[3] = -1;
  refused(bad, "prompt token 3 is -1");
  bad = Plain(1, 10, 5);
  bad.stop = {""};
  refused(bad, "stop string 0");
  bad.stop = {"a", "\x81"};
  refused(bad, "stop string 1");
  bad.stop.assign(1000, "a");
  refused(bad, "1000 stop strings");
  bad = Plain(1, 10, 5);
  bad.sampling.logit_bias = {{kFakeVocabulary, 1}};
  refused(bad, "logit_bias: token 40");
  bad = Plain(1, 10, 5);
  bad.top_logprobs = 5000;
  refused(bad, "top_logprobs");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(fake.engine->Submit(Plain(1, 10, 5), {}, {}).ok());
  const auto full = fake.engine->Submit(Plain(1, 10, 5), {}, {});
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(fake.engine->counters().waiting, 2);
}

TEST(BatchEngine, RefusesOptionsOutOfRange) {
  const auto refused = [](const EngineOptions& options) {
    EngineParts parts;
    parts.model = std::make_unique<test::FakeModel>(4096);
    parts.format = PromptFormat::FromParts("", std::make_unique<FakeTokenizer>(), "");
    parts.pool = std::make_unique<ThreadPool>(1);
    return !BatchEngine::Make(std::move(parts), options).ok();
  };
  EXPECT_TRUE(refused({.context_tokens = 4097}));
  EXPECT_TRUE(refused({.context_tokens = -1}));
  EXPECT_TRUE(refused({.cache_tokens = -1}));
  EXPECT_TRUE(refused({.sequences_max = 0}));
  EXPECT_TRUE(refused({.queue_max = 0}));
  EXPECT_TRUE(refused({.chunk_tokens = 0}));
  EXPECT_FALSE(refused({.context_tokens = 4096}));
}

TEST(BatchEngine, BrokenLogitsAreNoScores) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 2048});
  fake.model->broken_after = 50;
  const std::vector<std::int32_t> tokens = Plain(1, 60, 1).prompt;
  EXPECT_TRUE(fake.engine->LogitsWith(std::span(tokens).first(40), "").ok());
  for (const auto& logits : {fake.engine->LogitsWith(tokens, ""), fake.engine->AllLogits(tokens)}) {
    ASSERT_FALSE(logits.ok());
    EXPECT_THAT(logits.error().text(), HasSubstr("NaN"));
  }
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
}

TEST(BatchEngine, BrokenLogitsEndOneRequestByName) {
  FakeEngine fake = MakeFakeEngine({.cache_tokens = 2048});
  fake.model->broken_after = 50;
  std::optional<Result<Completion>> broken, healthy;
  ASSERT_TRUE(
      fake.engine->Submit(Plain(1, 40, 30), {}, [&](auto r) { broken.emplace(std::move(r)); })
          .ok());
  ASSERT_TRUE(
      fake.engine->Submit(Plain(2, 10, 30), {}, [&](auto r) { healthy.emplace(std::move(r)); })
          .ok());
  while (fake.engine->Step()) {
  }
  ASSERT_TRUE(broken && !broken->ok());
  EXPECT_THAT(broken->error().text(), HasSubstr("NaN"));
  ASSERT_TRUE(healthy && healthy->ok());
  EXPECT_EQ(healthy->value().token_ids, Reference(Plain(2, 10, 30)).token_ids);
  EXPECT_EQ(fake.engine->counters().requests_failed, 1);
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
}

TEST(BatchEngine, ReportsTheSeedThatItDrew) {
  FakeEngine fake = MakeFakeEngine({});
  Request request = Plain(1, 10, 20);
  request.sampling.temperature = 1.5;
  const Completion first = *fake.engine->Generate(request);
  const Completion second = *fake.engine->Generate(request);
  EXPECT_NE(first.seed, second.seed);
  EXPECT_LT(first.seed, std::uint64_t{1} << 53);
  request.sampling.seed = first.seed;
  EXPECT_EQ(fake.engine->Generate(request)->token_ids, first.token_ids);
}

class OnlyEvenIds final : public Constraint {
 public:
  Result<> Allowed(std::span<std::uint64_t> words) override {
    for (std::uint64_t& word : words) word = 0x5555555555555554;
    return Ok{};
  }
  void Accept(std::int32_t id) override { accepted.push_back(id); }
  std::vector<std::int32_t> accepted;
};

TEST(BatchEngine, AConstraintDecidesWhatMayComeAndHearsWhatCame) {
  FakeEngine fake = MakeFakeEngine({});
  const auto constraint = std::make_shared<OnlyEvenIds>();
  Request request = Plain(1, 10, 25);
  request.constraint = constraint;
  request.sampling.temperature = 2;
  const Completion got = *fake.engine->Generate(request);
  EXPECT_EQ(got.token_ids.size(), 25u);
  for (const std::int32_t id : got.token_ids) EXPECT_EQ(id % 2, 0);
  EXPECT_EQ(constraint->accepted, got.token_ids);
}

class Refusing final : public Constraint {
 public:
  Result<> Allowed(std::span<std::uint64_t>) override { return Refuse("the grammar is at odds"); }
  void Accept(std::int32_t) override {}
};

TEST(BatchEngine, AConstraintThatRefusesEndsTheRequestWithItsWords) {
  FakeEngine fake = MakeFakeEngine({});
  Request request = Plain(1, 10, 5);
  request.constraint = std::make_shared<Refusing>();
  const auto got = fake.engine->Generate(request);
  ASSERT_FALSE(got.ok());
  EXPECT_THAT(got.error().text(), HasSubstr("at odds"));
  EXPECT_EQ(fake.engine->counters().pages_in_use, 0);
}

TEST(BatchEngine, ScoresBesideRunningRequestsEvenWhereMemoryIsShort) {
  FakeEngine fake =
      MakeFakeEngine({.context_tokens = 512, .cache_tokens = 512, .chunk_tokens = 100});
  std::optional<Result<Completion>> result;
  ASSERT_TRUE(
      fake.engine->Submit(Plain(1, 300, 50), {}, [&](auto r) { result.emplace(std::move(r)); })
          .ok());
  for (int i = 0; i < 10; ++i) fake.engine->Step();
  const auto tokens = FakePrompt(7, 450);
  EXPECT_EQ(*fake.engine->Logits(tokens), test::FakeLogitsAfter(tokens));
  EXPECT_EQ(*fake.engine->Logits(tokens), test::FakeLogitsAfter(tokens)) << "warm";
  EXPECT_GT(fake.engine->counters().prefix_hits, 0);
  const auto all = fake.engine->AllLogits(tokens);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), tokens.size() * kFakeVocabulary);
  for (const std::size_t i : {0ul, 63ul, 64ul, 99ul, 100ul, 449ul}) {
    const auto row = std::span(*all).subspan(i * kFakeVocabulary, kFakeVocabulary);
    EXPECT_THAT(test::FakeLogitsAfter(std::span(tokens).first(i + 1)),
                ::testing::ElementsAreArray(row))
        << i;
  }
  EXPECT_GT(fake.engine->counters().preemptions, 0);
  while (fake.engine->Step()) {
  }
  ASSERT_TRUE(result && result->ok());
  EXPECT_EQ(result->value().token_ids, Reference(Plain(1, 300, 50)).token_ids);
  EXPECT_FALSE(fake.engine->Logits(FakePrompt(1, 513)).ok());
  EXPECT_FALSE(fake.engine->Logits({}).ok());
}

TEST(BatchEngine, RefusesToRenderAChatWithoutATemplate) {
  FakeEngine fake = MakeFakeEngine({});
  const auto rendered = fake.engine->RenderChat(R"([{"role":"user","content":"x"}])", "");
  ASSERT_FALSE(rendered.ok());
  EXPECT_THAT(rendered.error().text(), HasSubstr("no chat template"));
}

}  // namespace
}  // namespace tatara::generate
