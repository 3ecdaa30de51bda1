// Seeded requests of all kinds through the service, in random orders, with little memory: what each
// gets is what it gets alone, to the bit of every log-probability, and nobody sees another tenant's
// prefixes or receipts.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <numeric>

#include "tatara/assistant/service.h"
#include "tatara/base/philox.h"
#include "tatara/base/sha256.h"
#include "tatara/generate/engine.h"
#include "test_support.h"

namespace tatara {
namespace {

using assistant::AnswerDelta;
using assistant::Choice;
using assistant::GenerateCall;
using assistant::Logprob;
using assistant::Service;
using assistant::Usage;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}
  int Below(int n) {
    const auto words = RandomWords(
        {.seed = seed_, .purpose = RandomPurpose::kTest, .choice = 5, .position = n_++});
    return static_cast<int>(words[0] % static_cast<std::uint32_t>(n));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t n_ = 0;
};

// A few documents with common beginnings, so that prefixes are worth sharing.
std::string Words(Dice& dice, int document, int n) {
  static constexpr const char* kWords[] = {"press", "oil",  "check", "the", "valve", "of",
                                           "line",  "four", "and",   "log", "it",    "daily"};
  Dice fixed(1000 + static_cast<std::uint64_t>(document));
  std::string text = "Document " + std::to_string(document) + ":";
  for (int i = 0; i < n; ++i) text.append(" ").append(kWords[fixed.Below(12)]);
  for (int i = dice.Below(6); i > 0; --i) text.append(" ").append(kWords[dice.Below(12)]);
  return text;
}

GenerateCall MakeCall(int i) {
  Dice dice(static_cast<std::uint64_t>(i));
  GenerateCall call;
  const int who = dice.Below(4);
  call.caller = {.tenant = who < 2 ? "works" : "office " + std::to_string(who),
                 .key = "key " + std::to_string(who)};
  call.model = "tiny";
  call.id = "mix-" + std::to_string(i);
  const int n_words = dice.Below(8) == 0 ? 250 : 5 + dice.Below(90);
  const std::string text = Words(dice, dice.Below(3), n_words);
  if (dice.Below(2) == 0) {
    call.chat = assistant::Conversation{.messages_json =
                                            R"([{"role":"user","content":")" + text + R"("}])"};
  } else {
    call.texts = {text};
  }
  call.sampling.temperature = dice.Below(2) == 0 ? 0 : 0.3 * (1 + dice.Below(4));
  call.sampling.seed = static_cast<std::uint64_t>(dice.Below(1 << 20));
  if (dice.Below(3) == 0) call.sampling.top_k = 1 + dice.Below(40);
  if (dice.Below(3) == 0) call.sampling.top_p = 0.9;
  if (dice.Below(4) == 0) call.sampling.repetition_penalty = 1.2;
  if (dice.Below(4) == 0) call.stop = {"oil", "\n\n"};
  if (dice.Below(6) == 0) call.n = 2;
  call.ignore_end = dice.Below(3) == 0;
  call.tokens_max = dice.Below(5) == 0 ? 40 + dice.Below(50) : 1 + dice.Below(20);
  call.top_logprobs = dice.Below(2) == 0 ? -1 : dice.Below(4);
  return call;
}

void Digest(Sha256& sha, const std::vector<Logprob>& logprobs) {
  for (const Logprob& logprob : logprobs) {
    sha.Update(std::as_bytes(std::span(&logprob.id, 1)));
    sha.Update(std::as_bytes(std::span(&logprob.logprob, 1)));
    sha.Update(logprob.token);
    Digest(sha, logprob.top);
  }
}

// Collects an answer; its digest is over everything that was told.
class Collected final : public assistant::GenerateSink {
 public:
  explicit Collected(std::function<void()> done) : done_(std::move(done)) {}
  void OnDelta(int choice, const AnswerDelta& delta) override {
    Joined& joined = At(choice);
    joined.content += delta.content;
    joined.thinking += delta.thinking;
    ++n_deltas;
  }
  void OnChoice(Choice choice) override {
    const Joined joined = At(choice.index);
    EXPECT_EQ(joined.content, choice.content) << "streamed and whole differ";
    EXPECT_EQ(joined.thinking, choice.thinking);
    choices_.push_back(std::move(choice));
  }
  void OnDone(Result<Usage> usage) override {
    ok_ = usage.ok();
    if (!ok_ && usage.error().kind() != ErrorKind::kCancelled) {
      ADD_FAILURE() << usage.error().text();
    }
    done_();
  }
  bool ok() const { return ok_; }
  std::string Hash() {
    std::ranges::sort(choices_, {}, &Choice::index);
    Sha256 sha;
    for (const Choice& choice : choices_) {
      sha.Update(choice.content + "\x01" + choice.thinking + "\x01" + choice.finish_reason +
                 "\x01" + std::to_string(choice.completion_tokens) + "\x01");
      Digest(sha, choice.logprobs);
    }
    return ToHex(sha.Finish());
  }
  int n_deltas = 0;

 private:
  struct Joined {
    std::string content, thinking;
  };
  Joined& At(int choice) {
    joined_.resize(std::max(joined_.size(), static_cast<std::size_t>(choice) + 1));
    return joined_[static_cast<std::size_t>(choice)];
  }
  std::vector<Joined> joined_;
  std::vector<Choice> choices_;
  std::function<void()> done_;
  bool ok_ = false;
};

struct Setting {
  std::uint64_t order = 0;  // 0: as they are
  int at_once = 1;
  bool little_memory = true;
  bool cancels = false;  // other calls, which are cancelled in mid-answer
};

std::unique_ptr<Service> MakeService(const std::filesystem::path& model,
                                     const std::filesystem::path& home, bool little_memory,
                                     bool keeps_receipts = true) {
  assistant::ServiceOptions service_options{.home = home};
  if (!keeps_receipts) service_options.receipts_keep_seconds = 0;
  auto service = std::make_unique<Service>(service_options);
  generate::EngineOptions options{.n_threads = 2, .context_tokens = 576};
  if (little_memory) {
    options.cache_tokens = 576;
    options.sequences_max = 6;
    options.spill_dir = home / "pages";
    options.model_sha256 = std::string(64, '0');
  } else {
    options.prefix_cache = false;
  }
  auto engine = generate::Engine::Open(model.string(), options);
  EXPECT_TRUE(engine.ok()) << engine.error().text();
  EXPECT_TRUE(service->AddEngine("tiny", std::string(64, '0'), std::move(engine).value()).ok());
  return service;
}

struct Outcome {
  std::vector<std::string> hashes;
  assistant::ModelState state;
};

Outcome RunCalls(const std::filesystem::path& model, const std::filesystem::path& home, int n,
                 const Setting& setting) {
  const auto service = MakeService(model, home, setting.little_memory);
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  Dice dice(setting.order);
  if (setting.order != 0) {
    for (int i = n - 1; i > 0; --i) {
      std::swap(order[static_cast<std::size_t>(i)],
                order[static_cast<std::size_t>(dice.Below(i + 1))]);
    }
  }
  std::mutex mutex;
  std::condition_variable ended;
  int running = 0;
  const auto done = [&] {
    const std::lock_guard lock(mutex);
    --running;
    ended.notify_all();
  };
  const auto begin = [&](GenerateCall call) {
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return running < setting.at_once; });
    ++running;
    lock.unlock();
    auto sink = std::make_shared<Collected>(done);
    auto posted = service->Generate(std::move(call), sink);
    EXPECT_TRUE(posted.ok()) << posted.error().text();
    return std::pair(sink, posted.ok() ? *posted : nullptr);
  };
  std::vector<std::shared_ptr<Collected>> sinks(order.size());
  for (const int i : order) {
    if (setting.cancels && dice.Below(4) == 0) {
      GenerateCall other = MakeCall(5000 + i);
      other.tokens_max = 60;
      begin(std::move(other)).second->Cancel();
    }
    sinks[static_cast<std::size_t>(i)] = begin(MakeCall(i)).first;
  }
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return running == 0; });
  lock.unlock();
  Outcome outcome;
  for (const auto& sink : sinks) {
    EXPECT_TRUE(sink->ok());
    outcome.hashes.push_back(sink->Hash());
  }
  service->Stop();
  outcome.state = service->States().front();
  return outcome;
}

TEST(ServiceMix, EveryOrderGivesEachRequestWhatItGetsAlone) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const int n = test::RunAll() ? 200 : 24;
  const int n_orders = test::RunAll() ? 10 : 2;
  const test::ScratchDir home;
  const Outcome alone = RunCalls(model, home.path() / "alone", n, {.little_memory = false});
  EXPECT_EQ(alone.state.prefix_tokens_reused, 0);
  std::int64_t preemptions = 0, evicted = 0, spilled = 0, restored = 0, reused = 0;
  for (int order = 1; order <= n_orders; ++order) {
    const int at_once = order % 3 == 0 ? 1 : order % 3 == 1 ? 16 : 8;
    const Outcome mixed = RunCalls(model, home.path() / "mixed", n,
                                   {.order = static_cast<std::uint64_t>(order),
                                    .at_once = at_once,
                                    .cancels = order % 2 == 0});
    EXPECT_EQ(mixed.hashes, alone.hashes) << "order " << order;
    preemptions += mixed.state.preemptions;
    evicted += mixed.state.pages_evicted;
    spilled += mixed.state.pages_spilled;
    restored += mixed.state.pages_restored;
    reused += mixed.state.prefix_tokens_reused;
  }
  // The orders would prove little if these had not happened.
  EXPECT_GT(preemptions, 0);
  EXPECT_GT(evicted, 0);
  EXPECT_GT(spilled, 0);
  EXPECT_GT(restored, 0);
  EXPECT_GT(reused, 0);
}

TEST(ServiceMix, PrefixesAndReceiptsAreTheirTenantsAlone) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const test::ScratchDir home;
  auto service = MakeService(model, home.path(), /*little_memory=*/true);
  std::mutex mutex;
  std::condition_variable ended;
  const auto run = [&](const std::string& tenant, const std::string& key, const std::string& id) {
    bool done = false;
    GenerateCall call;
    call.caller = {.tenant = tenant, .key = key};
    call.model = "tiny";
    call.id = id;
    Dice dice(1);
    call.texts = {Words(dice, 1, 200)};
    call.tokens_max = 2;
    const std::int64_t before = service->States().front().prefix_tokens_reused;
    auto posted = service->Generate(std::move(call), std::make_shared<Collected>([&] {
                                      const std::lock_guard lock(mutex);
                                      done = true;
                                      ended.notify_all();
                                    }));
    EXPECT_TRUE(posted.ok());
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return done; });
    lock.unlock();
    service->WaitForStep();
    return service->States().front().prefix_tokens_reused - before;
  };
  EXPECT_EQ(run("a", "1", "r1"), 0);
  EXPECT_EQ(run("b", "2", "r2"), 0) << "another tenant's prefix was taken";
  EXPECT_GT(run("a", "3", "r3"), 100) << "keys of a tenant share";
  EXPECT_TRUE(service->Receipt({.tenant = "a"}, "r1").ok());
  EXPECT_TRUE(service->Receipt({.tenant = "a", .key = "other"}, "r3").ok());
  EXPECT_FALSE(service->Receipt({.tenant = "b"}, "r1").ok());
  service->ForgetTenant({.tenant = "a"});
  EXPECT_FALSE(service->Receipt({.tenant = "a"}, "r1").ok());
  EXPECT_TRUE(service->Receipt({.tenant = "b"}, "r2").ok());
  EXPECT_EQ(run("a", "1", "r4"), 0);
  EXPECT_GT(run("b", "2", "r5"), 100);
}

// What keeping receipts costs: the figure of src/assistant/README.md. Rounds with and without take
// turns; the best of each counts.
TEST(ServiceMix, DISABLED_WhatReceiptsCost) {
  TATARA_REQUIRE_MODEL(model, "smollm2-135m");
  const test::ScratchDir home;
  double best[2] = {0, 0};
  for (int round = 0; round < 12; ++round) {
    const bool keeps = round % 2 == 0;
    const auto service = MakeService(model, home.path(), /*little_memory=*/false, keeps);
    std::mutex mutex;
    std::condition_variable ended;
    int running = 0;
    constexpr int kCalls = 64, kTokens = 16;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) {
      GenerateCall call = MakeCall(i);
      call.n = 1;
      call.tokens_max = kTokens;
      call.ignore_end = true;
      call.stop.clear();
      std::unique_lock lock(mutex);
      ended.wait(lock, [&] { return running < 8; });
      ++running;
      lock.unlock();
      ASSERT_TRUE(service
                      ->Generate(std::move(call), std::make_shared<Collected>([&] {
                                   const std::lock_guard done(mutex);
                                   --running;
                                   ended.notify_all();
                                 }))
                      .ok());
    }
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return running == 0; });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best[keeps] = std::max(best[keeps], kCalls * kTokens / took.count());
    EXPECT_EQ(service->Receipts().kept, keeps ? kCalls : 0);
  }
  std::printf("tokens/s: %.1f with receipts, %.1f without\n", best[1], best[0]);
}

}  // namespace
}  // namespace tatara
