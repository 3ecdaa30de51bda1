// What fair shares promise, counted in passes and in the time of a clock that a pass moves on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "batch_engine.h"
#include "fake_model.h"

namespace tatara::generate {
namespace {

using test::FakeEngine;
using test::FakePrompt;
using test::MakeFakeEngine;

constexpr std::int64_t kMs = 1'000'000;

class StepClock final : public Clock {
 public:
  std::int64_t UnixSeconds() const override { return 0; }
  std::int64_t MonotonicNanoseconds() const override { return now_ns; }
  std::int64_t now_ns = kMs;
};

// An engine whose passes take 5 ms and half a millisecond for each token.
struct TimedEngine {
  StepClock clock;
  FakeEngine fake;
  explicit TimedEngine(EngineOptions options, std::int64_t n_ctx = 8192) {
    options.clock = &clock;
    options.context_tokens = n_ctx;
    if (options.cache_tokens == 0) options.cache_tokens = 4 * n_ctx;
    fake = MakeFakeEngine(options, n_ctx);
    fake.model->after_pass = [this](std::int64_t n_tokens) {
      clock.now_ns += 5 * kMs + n_tokens * kMs / 2;
    };
  }
  BatchEngine& engine() { return *fake.engine; }
};

struct Told {
  std::vector<std::int64_t> token_ns;  // when text came
  std::int64_t done_ns = 0;
  std::int64_t longest_gap_ns() const {
    std::int64_t longest = 0;
    for (std::size_t i = 1; i < token_ns.size(); ++i) {
      longest = std::max(longest, token_ns[i] - token_ns[i - 1]);
    }
    return longest;
  }
};

Request Of(std::string key, std::uint64_t seed, std::size_t n_prompt, int tokens_max) {
  Request request{
      .prompt = FakePrompt(seed, n_prompt), .tokens_max = tokens_max, .ignore_end = true};
  request.fair_key = std::move(key);
  // One letter a token, so that each is told of when it is sampled.
  for (std::int32_t id = 0; id < test::kFakeVocabulary; ++id) {
    if (id == 0 || id > 26) request.sampling.logit_bias.emplace_back(id, -100.0);
  }
  return request;
}

void Submit(TimedEngine& timed, Request request, Told& told) {
  const auto id = timed.engine().Submit(
      std::move(request),
      [&](std::string_view) { return told.token_ns.push_back(timed.clock.now_ns), true; },
      [&](Result<Completion> result) {
        EXPECT_TRUE(result.ok() && result->finish_reason == FinishReason::kLength);
        told.done_ns = timed.clock.now_ns;
      });
  ASSERT_TRUE(id.ok()) << id.error().text();
}

void RunOut(TimedEngine& timed) {
  for (int i = 0; timed.engine().Step(); ++i) ASSERT_LT(i, 100'000);
}

std::int64_t LongestGapBesideALongPrompt(bool fair) {
  TimedEngine timed({.chunk_tokens = 512, .step_ms_max = 50, .fair = fair});
  Told chat, book;
  Submit(timed, Of("chat", 1, 30, 200), chat);
  for (int i = 0; i < 5; ++i) timed.engine().Step();
  Submit(timed, Of("book", 2, 6000, 1), book);
  RunOut(timed);
  EXPECT_GT(book.done_ns, 0);
  return chat.longest_gap_ns();
}

TEST(Fairness, ALongPromptDoesNotHoldUpWhoDecodes) {
  // 5 ms and 0.5 ms for each token fill 50 ms with 90 tokens; 512 take 261 ms.
  EXPECT_LE(LongestGapBesideALongPrompt(true), 56 * kMs);
  EXPECT_GE(LongestGapBesideALongPrompt(false), 250 * kMs);
}

TEST(Fairness, AShortPromptOvertakesALongOneOfItsKeyAndOfOthers) {
  for (const char* key : {"book", "chat"}) {
    TimedEngine timed({.chunk_tokens = 256, .step_ms_max = 50});
    Told book, chat;
    Submit(timed, Of("book", 1, 6000, 1), book);
    for (int i = 0; i < 3; ++i) timed.engine().Step();
    const std::int64_t asked_ns = timed.clock.now_ns;
    Submit(timed, Of(key, 2, 40, 3), chat);
    RunOut(timed);
    EXPECT_LE(chat.token_ns.front() - asked_ns, 120 * kMs) << key;
    EXPECT_LT(chat.done_ns, book.done_ns);
  }
}

TEST(Fairness, OfRequestsThatWaitTheShortOnesGoFirst) {
  TimedEngine timed({.sequences_max = 1, .chunk_tokens = 256});
  Told first, book, chat;
  Submit(timed, Of("a", 1, 40, 5), first);
  timed.engine().Step();
  Submit(timed, Of("a", 2, 3000, 1), book);
  Submit(timed, Of("a", 3, 40, 1), chat);
  RunOut(timed);
  EXPECT_LT(chat.done_ns, book.done_ns);
}

TEST(Fairness, ALongPromptIsNotOvertakenForEver) {
  TimedEngine timed({.sequences_max = 1, .chunk_tokens = 256});
  Told book;
  std::map<int, Told> chats;
  int n_chats = 0, n_before_the_book = 0;
  const auto more_chats = [&] {
    while (timed.engine().counters().waiting < 5) {
      Submit(timed, Of("a", 10 + static_cast<std::uint64_t>(n_chats), 50, 1), chats[n_chats]);
      ++n_chats;
    }
  };
  more_chats();
  timed.engine().Step();
  Submit(timed, Of("a", 1, 2000, 1), book);
  for (int i = 0; i < 1000 && book.done_ns == 0; ++i) {
    more_chats();
    timed.engine().Step();
  }
  ASSERT_GT(book.done_ns, 0) << "it starves";
  for (const auto& [i, chat] : chats) n_before_the_book += chat.done_ns != 0;
  EXPECT_GE(n_before_the_book, 30);
  // It is overtaken by no more tokens than it has itself, and those that were before it.
  EXPECT_LE(n_before_the_book, 2000 / 50 + 6);
}

TEST(Fairness, KeysShareThePromptTokensWhateverTheyAskFor) {
  TimedEngine timed({.sequences_max = 16, .chunk_tokens = 128, .step_ms_max = 0});
  std::map<int, Told> many;
  Told one;
  for (int i = 0; i < 9; ++i) {
    Submit(timed, Of("many", 10 + static_cast<std::uint64_t>(i), 1000, 1), many[i]);
  }
  timed.engine().Step();
  Submit(timed, Of("one", 1, 1000, 1), one);
  const std::int64_t asked_ns = timed.clock.now_ns;
  RunOut(timed);
  // Half of every pass of 128 tokens: 16 passes of 69 ms. A tenth would be 79 passes.
  EXPECT_LE(one.done_ns - asked_ns, 17 * 69 * kMs);
  int done_before = 0;
  for (const auto& [i, told] : many) done_before += told.done_ns < one.done_ns;
  EXPECT_LE(done_before, 1);
}

TEST(Fairness, AKeyThatHoldsAllPlacesGivesSomeUp) {
  for (const bool fair : {true, false}) {
    TimedEngine timed({.sequences_max = 4, .fair = fair});
    std::map<int, Told> many;
    Told one;
    for (int i = 0; i < 8; ++i) {
      Submit(timed, Of("many", 10 + static_cast<std::uint64_t>(i), 70, 300), many[i]);
    }
    for (int i = 0; i < 20; ++i) timed.engine().Step();
    const std::int64_t asked_ns = timed.clock.now_ns;
    Submit(timed, Of("one", 1, 70, 5), one);
    RunOut(timed);
    if (fair) {
      EXPECT_LE(one.done_ns - asked_ns, 500 * kMs);
      EXPECT_EQ(timed.engine().counters().places_given_up, 1);
      EXPECT_GE(timed.engine().counters().prefix_hits, 1) << "nor is its prompt computed again";
    } else {
      EXPECT_GE(one.done_ns - asked_ns, 3000 * kMs);
      EXPECT_EQ(timed.engine().counters().places_given_up, 0);
    }
  }
}

// The large one needs more pages than are free while the small ones run.
TEST(Fairness, WhereMemoryIsShortSmallOnesPassALargeOneButNotForEver) {
  for (const char* key : {"a", "b"}) {
    TimedEngine timed({.cache_tokens = 1024, .sequences_max = 8}, 1024);
    Told large;
    std::map<int, Told> small;
    int n = 0;
    const auto more = [&] {
      while (timed.engine().counters().waiting < 3) {
        Submit(timed, Of("a", 10 + static_cast<std::uint64_t>(n), 60, 40), small[n]);
        ++n;
      }
    };
    for (int i = 0; i < 5; ++i) {
      more();
      timed.engine().Step();
    }
    Submit(timed, Of(key, 1, 900, 1), large);
    int passed = 0;
    for (int i = 0; i < 2000 && large.done_ns == 0; ++i) {
      more();
      timed.engine().Step();
    }
    for (const auto& [i, told] : small) passed += told.done_ns != 0 && told.done_ns < large.done_ns;
    ASSERT_GT(large.done_ns, 0) << "it starves, key " << key;
    // Its own length in tokens of others that may go before it, 32 that pass it, 8 that run.
    EXPECT_LE(passed, 900 / 60 + 32 + 8) << key;
    RunOut(timed);
  }
}

TEST(Fairness, AStepTokenBudgetServesDecodingFirst) {
  TimedEngine timed({.chunk_tokens = 512, .step_tokens = 20, .step_ms_max = 0});
  std::map<int, Told> chats;
  Told book;
  for (int i = 0; i < 8; ++i) {
    Submit(timed, Of("a", 10 + static_cast<std::uint64_t>(i), 1, 400), chats[i]);
  }
  timed.engine().Step();
  std::int64_t most = 0;
  timed.fake.model->after_pass = [&](std::int64_t n_tokens) { most = std::max(most, n_tokens); };
  Submit(timed, Of("a", 1, 1200, 1), book);
  for (int i = 0; i < 100; ++i) timed.engine().Step();
  EXPECT_EQ(most, 20);
  EXPECT_EQ(book.token_ns.size(), 1u) << "12 of its tokens a pass";
  RunOut(timed);
}

}  // namespace
}  // namespace tatara::generate
