// What the owner thread promises of an engine's steps: who leaves or is late is out before the next
// one.
#include "engine_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <limits>
#include <map>

#include "fake_engine.h"

namespace tatara::assistant {
namespace {

// One token a step for all that run; time passes with steps only.
class SteppedEngine final : public generate::Engine {
 public:
  const generate::ModelFacts& facts() const override { return facts_; }
  const text::Tokenizer& tokenizer() const override { return tokenizer_; }
  const text::ChatTemplate* chat_template() const override { return nullptr; }
  const generate::EngineCounters& counters() const override { return counters_; }
  Result<std::string> RenderChat(std::string_view, std::string_view) const override {
    return std::string();
  }
  std::vector<std::int32_t> EncodeRendered(std::string_view) const override { return {}; }
  Result<generate::RequestId> Submit(
      generate::Request request, generate::OnText on_text,
      std::function<void(Result<generate::Completion>)> done) override {
    runs_[++last_] = {std::move(request), std::move(on_text), std::move(done)};
    return last_;
  }
  void Cancel(generate::RequestId id) override {
    if (runs_.contains(id)) runs_[id].cancelled = true;
  }
  bool Step() override {
    ++n_steps;
    now_ns += 10'000'000;
    std::vector<generate::RequestId> ended;
    for (auto& [id, run] : runs_) {
      if (!run.cancelled) {
        run.completion.token_ids.push_back(1);
        ++n_tokens;
        run.cancelled = !run.on_text("a");
        if (static_cast<int>(run.completion.token_ids.size()) < run.request.tokens_max &&
            !run.cancelled) {
          continue;
        }
      }
      run.completion.finish_reason =
          run.cancelled ? generate::FinishReason::kCancelled : generate::FinishReason::kLength;
      ended.push_back(id);
    }
    for (const auto id : ended) {
      auto node = runs_.extract(id);
      node.mapped().done(std::move(node.mapped().completion));
    }
    return !ended.empty() || !runs_.empty();
  }
  Result<std::vector<float>> Logits(std::span<const std::int32_t>) override {
    return std::vector<float>();
  }
  Result<std::vector<float>> AllLogits(std::span<const std::int32_t>) override {
    return std::vector<float>();
  }

  std::atomic<int> n_steps = 0, n_tokens = 0;
  std::atomic<std::int64_t> now_ns = 0;

 private:
  struct Running {
    generate::Request request;
    generate::OnText on_text;
    std::function<void(Result<generate::Completion>)> done;
    generate::Completion completion;
    bool cancelled = false;
  };
  ByteTokenizer tokenizer_;
  generate::ModelFacts facts_;
  generate::EngineCounters counters_;
  std::map<generate::RequestId, Running> runs_;
  generate::RequestId last_ = 0;
};

struct EngineClock final : Clock {
  explicit EngineClock(const SteppedEngine& stepped) : engine(stepped) {}
  std::int64_t UnixSeconds() const override { return 0; }
  std::int64_t MonotonicNanoseconds() const override { return engine.now_ns; }
  const SteppedEngine& engine;
};

struct Posted {
  std::shared_ptr<EngineJob> job = std::make_shared<EngineJob>();
  std::promise<generate::Completion> ended;
  Posted(int tokens_max, std::int64_t deadline_ns) {
    job->call = std::make_shared<RunningCall>();
    job->requests.push_back({.prompt = {1}, .tokens_max = tokens_max});
    job->deadline_ns = deadline_ns;
    job->on_text = [](std::size_t, std::string_view) {};
    job->on_logprob = [](std::size_t, const generate::TokenLogprob&) {};
    job->on_done = [this](std::size_t, Result<generate::Completion> result) {
      ended.set_value(std::move(result).value());
    };
  }
};

constexpr std::int64_t kNever = std::int64_t{1} << 60;
constexpr int kEndless = std::numeric_limits<int>::max();

class EngineThreadTest : public ::testing::Test {
 protected:
  EngineThreadTest() {
    auto engine = std::make_unique<SteppedEngine>();
    engine_ = engine.get();
    clock_ = std::make_unique<EngineClock>(*engine_);
    thread_ = std::make_unique<EngineThread>(
        std::move(engine), QueueShares::Limits{.places = 4, .together = 4}, *clock_);
  }
  ~EngineThreadTest() override { thread_->Stop(); }
  SteppedEngine* engine_;
  std::unique_ptr<EngineClock> clock_;
  std::unique_ptr<EngineThread> thread_;
};

TEST_F(EngineThreadTest, ACancelledCallGetsNoTokenInTheNextStep) {
  Posted posted(kEndless, kNever);
  posted.job->on_text = [&, n = 0](std::size_t, std::string_view) mutable {
    if (++n == 7) posted.job->call->Cancel();
  };
  ASSERT_TRUE(thread_->Post(posted.job).ok());
  const auto completion = posted.ended.get_future().get();
  EXPECT_EQ(completion.finish_reason, generate::FinishReason::kCancelled);
  EXPECT_EQ(completion.token_ids.size(), 7u);
}

TEST_F(EngineThreadTest, ACallThatOthersCancelIsOutWithinAStep) {
  Posted stays(kEndless, kNever), leaves(kEndless, kNever);
  std::atomic<int> cancelled_at = 0;
  // The first's text comes before the second's in every step.
  stays.job->on_text = [&, n = 0](std::size_t, std::string_view) mutable {
    if (++n == 50) {
      leaves.job->call->Cancel();
      cancelled_at = engine_->n_steps.load();
    }
  };
  std::atomic<int> last_text_at = 0;
  leaves.job->on_text = [&](std::size_t, std::string_view) {
    last_text_at = engine_->n_steps.load();
  };
  ASSERT_TRUE(thread_->Post(stays.job).ok());
  ASSERT_TRUE(thread_->Post(leaves.job).ok());
  leaves.ended.get_future().get();
  EXPECT_LE(last_text_at, cancelled_at + 1);
  stays.job->call->Cancel();
  stays.ended.get_future().get();
}

TEST_F(EngineThreadTest, APassedDeadlineEndsACallBeforeTheNextStep) {
  // Steps take 10 ms: the 25th ends at 250 ms.
  Posted posted(kEndless, 250'000'000);
  ASSERT_TRUE(thread_->Post(posted.job).ok());
  const auto completion = posted.ended.get_future().get();
  EXPECT_EQ(completion.finish_reason, generate::FinishReason::kCancelled);
  EXPECT_EQ(completion.token_ids.size(), 25u);
}

TEST_F(EngineThreadTest, TasksRunBetweenStepsAndAfterTheEnd) {
  Posted posted(kEndless, kNever);
  ASSERT_TRUE(thread_->Post(posted.job).ok());
  int ran = 0;
  for (int i = 0; i < 20; ++i) thread_->Run([&](generate::Engine&) { ++ran; });
  EXPECT_EQ(ran, 20);
  thread_->Stop();
  EXPECT_EQ(posted.ended.get_future().get().finish_reason, generate::FinishReason::kCancelled);
  thread_->Run([&](generate::Engine&) { ++ran; });
  EXPECT_EQ(ran, 21);
}

TEST_F(EngineThreadTest, MoreThanTheLimitAreTurnedAwayButNoOtherKeysFirst) {
  std::vector<std::unique_ptr<Posted>> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(std::make_unique<Posted>(kEndless, kNever));
    ASSERT_TRUE(thread_->Post(all.back()->job).ok());
  }
  Posted more(1, kNever);
  const auto refused = thread_->Post(more.job);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  Posted other(1, kNever);
  other.job->key = "another";
  ASSERT_TRUE(thread_->Post(other.job).ok());
  EXPECT_EQ(other.ended.get_future().get().finish_reason, generate::FinishReason::kLength);
  EXPECT_EQ(thread_->outstanding(), 4);
  thread_->Stop();
  for (const auto& posted : all) posted->ended.get_future().get();
}

}  // namespace
}  // namespace tatara::assistant
