#include <algorithm>
#include <optional>
#include <vector>

#include "bench_request.h"
#include "tatara/generate/bench.h"

namespace tatara::generate {
namespace {

constexpr int kLongTokensMax = 1 << 20;
constexpr int kChats = 4;
constexpr int kShortPrompt = 48;
constexpr int kShortTokens = 4;
// The chats write until the long prompt is done: this is more than they get to.
constexpr int kChatTokensMax = 1 << 12;

// The smallest value that this part of all does not exceed.
double Quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto i = static_cast<std::size_t>(part * static_cast<double>(values.size()));
  return values[std::min(i, values.size() - 1)];
}

// Tokens are counted after every step: text would come late where a token is part of a character.
class Mix {
 public:
  Mix(Engine& engine, const Clock& clock) : engine_(engine), clock_(clock) {}

  Result<MixResult> Run(int long_tokens) {
    for (int i = 0; i < kChats; ++i) {
      TATARA_TRY(const RequestId id,
                 Submit("chat " + std::to_string(i), kShortPrompt, kChatTokensMax, {}));
      chats_.push_back(id);
    }
    for (int i = 0; i < 20; ++i) engine_.Step();
    bool long_done = false;
    const std::int64_t start = Now();
    TATARA_TRY([[maybe_unused]] const RequestId id,
               Submit("long", long_tokens, 1, [&] { long_done = true; }));
    while (!long_done && !error_) {
      if (!short_runs_) TATARA_RETURN_IF_ERROR(NextShort());
      const std::int64_t before = Now();
      engine_.Step();
      // Every chat gets a token in every step.
      gaps_ms_.push_back(static_cast<double>(Now() - before) * 1e-6);
    }
    const double seconds = static_cast<double>(Now() - start) * 1e-9;
    for (const RequestId chat : chats_) engine_.Cancel(chat);
    while (engine_.Step()) {
    }
    if (error_) return *error_;
    return MixResult{.n_gaps = static_cast<int>(gaps_ms_.size()) * kChats,
                     .gap_ms_p50 = Quantile(gaps_ms_, 0.5),
                     .gap_ms_p99 = Quantile(gaps_ms_, 0.99),
                     .gap_ms_max = Quantile(gaps_ms_, 1),
                     .n_short = static_cast<int>(first_ms_.size()),
                     .first_token_ms_p50 = Quantile(first_ms_, 0.5),
                     .first_token_ms_p99 = Quantile(first_ms_, 0.99),
                     .long_seconds = seconds};
  }

 private:
  std::int64_t Now() const { return clock_.MonotonicNanoseconds(); }
  Result<RequestId> Submit(std::string key, int n_prompt, int tokens_max,
                           std::function<void()> done) {
    Request request = RandomBenchRequest(engine_, n_prompt, tokens_max, n_requests_++);
    request.fair_key = std::move(key);
    return engine_.Submit(std::move(request), {}, [this, done](Result<Completion> result) {
      if (!result.ok()) error_ = result.error();
      if (done) done();
    });
  }
  Result<> NextShort() {
    short_runs_ = true;
    Request request = RandomBenchRequest(engine_, kShortPrompt, kShortTokens, n_requests_++);
    request.fair_key = "short";
    TATARA_TRY([[maybe_unused]] const RequestId id,
               engine_.Submit(std::move(request), {}, [this](Result<Completion> result) {
                 short_runs_ = false;
                 if (!result.ok()) {
                   error_ = result.error();
                 } else {
                   first_ms_.push_back((result->queue_seconds + result->prefill_seconds) * 1e3);
                 }
               }));
    return Ok{};
  }

  Engine& engine_;
  const Clock& clock_;
  std::vector<RequestId> chats_;
  std::vector<double> gaps_ms_, first_ms_;
  std::optional<Error> error_;
  bool short_runs_ = false;
  int n_requests_ = 0;
};

}  // namespace

Result<MixResult> RunMix(const std::string& path, const MixOptions& options) {
  if (options.long_tokens < 1 || options.long_tokens > kLongTokensMax) {
    return Refuse("{0} is {1}, expected {2} to {3}", "long_tokens", options.long_tokens, 1,
                  kLongTokensMax);
  }
  EngineOptions engine_options = options.engine;
  engine_options.context_tokens = std::max(options.long_tokens + 1, kShortPrompt + kChatTokensMax);
  engine_options.cache_tokens = options.long_tokens + 64 + (kChats + 1) * (kChatTokensMax + 64);
  engine_options.sequences_max = kChats + 2;
  engine_options.prefix_cache = false;
  engine_options.tokenizer_optional = true;
  const Clock& clock = engine_options.clock != nullptr ? *engine_options.clock : SystemClock();
  TATARA_TRY(const auto engine, Engine::Open(path, engine_options));
  return Mix(*engine, clock).Run(options.long_tokens);
}

}  // namespace tatara::generate
