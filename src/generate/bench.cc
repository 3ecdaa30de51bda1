#include "tatara/generate/bench.h"

#include <algorithm>
#include <optional>

#include "bench_request.h"
#include "tatara/base/philox.h"

namespace tatara::generate {
namespace {

constexpr int kTokensMax = 1 << 20;
constexpr int kBatchMax = 256;
constexpr int kRepetitionsMax = 1000;

Result<> CheckRange(std::string_view name, int value, int min, int max) {
  if (value >= min && value <= max) return Ok{};
  return Refuse("{0} is {1}, expected {2} to {3}", name, value, min, max);
}

Result<> CheckOptions(const BenchOptions& options) {
  TATARA_RETURN_IF_ERROR(CheckRange("prompt_tokens", options.prompt_tokens, 0, kTokensMax));
  TATARA_RETURN_IF_ERROR(CheckRange("generate_tokens", options.generate_tokens, 0, kTokensMax));
  TATARA_RETURN_IF_ERROR(CheckRange("depth_tokens", options.depth_tokens, 0, kTokensMax));
  TATARA_RETURN_IF_ERROR(CheckRange("batch", options.batch, 1, kBatchMax));
  return CheckRange("repetitions", options.repetitions, 1, kRepetitionsMax);
}

}  // namespace

Request RandomBenchRequest(const Engine& engine, int n_prompt, int tokens_max, int index) {
  Request request;
  request.tokens_max = tokens_max;
  request.ignore_end = true;
  for (int i = 0; i < n_prompt; ++i) {
    const auto words = RandomWords({.seed = 1,
                                    .purpose = RandomPurpose::kTest,
                                    .choice = static_cast<std::uint32_t>(index),
                                    .position = static_cast<std::uint64_t>(i)});
    request.prompt.push_back(
        static_cast<std::int32_t>(words[0] % static_cast<std::uint32_t>(engine.facts().n_vocab)));
  }
  return request;
}

namespace {

struct Run {
  double prefill_seconds = 0;  // until every sequence has its first token
  double decode_seconds = 0;   // from there to the last token
  std::int64_t decode_passes = 0;
};

// `batch` sequences with prompts of n_prompt tokens that generate n_decode tokens after their
// first.
Result<Run> RunOnce(Engine& engine, const Clock& clock, int batch, int n_prompt, int n_decode) {
  std::optional<Error> failed;
  const std::int64_t generated_before = engine.counters().tokens_generated;
  const std::int64_t start = clock.MonotonicNanoseconds();
  for (int i = 0; i < batch; ++i) {
    TATARA_TRY([[maybe_unused]] const RequestId id,
               engine.Submit(RandomBenchRequest(engine, n_prompt, 1 + n_decode, i), {},
                             [&](Result<Completion> result) {
                               if (!result.ok()) failed = result.error();
                             }));
  }
  // Sequences may get their first token in different passes; those that have it go on meanwhile.
  // With prompts of one length all get it in the same pass or, where a prompt takes several passes,
  // nearly so.
  std::int64_t first_tokens = start;
  std::int64_t passes_before = engine.counters().passes;
  bool in_prefill = true;
  while (engine.Step()) {
    if (in_prefill && engine.counters().tokens_generated - generated_before >= batch) {
      in_prefill = false;
      first_tokens = clock.MonotonicNanoseconds();
      passes_before = engine.counters().passes;
    }
  }
  if (failed) return *failed;
  return Run{
      .prefill_seconds = static_cast<double>(first_tokens - start) * 1e-9,
      .decode_seconds = static_cast<double>(clock.MonotonicNanoseconds() - first_tokens) * 1e-9,
      .decode_passes = engine.counters().passes - passes_before};
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Measured {
  std::vector<double> prefill_seconds, decode_seconds;
  std::int64_t decode_passes = 0;
};

Result<Measured> Repeat(Engine& engine, const Clock& clock, const BenchOptions& options,
                        int n_prompt, int n_decode) {
  Measured all;
  for (int i = 0; i <= options.repetitions; ++i) {
    TATARA_TRY(const Run run, RunOnce(engine, clock, options.batch, n_prompt, n_decode));
    if (i == 0) continue;  // warms caches and clocks
    all.prefill_seconds.push_back(run.prefill_seconds);
    all.decode_seconds.push_back(run.decode_seconds);
    all.decode_passes = run.decode_passes;
  }
  return all;
}

double Best(const std::vector<double>& seconds) {
  return *std::min_element(seconds.begin(), seconds.end());
}

}  // namespace

Result<BenchResult> RunBench(Engine& engine, const BenchOptions& options) {
  TATARA_RETURN_IF_ERROR(CheckOptions(options));
  const Clock& clock = options.engine.clock != nullptr ? *options.engine.clock : SystemClock();
  BenchResult result;
  result.facts = engine.facts();
  if (options.prompt_tokens > 0) {
    TATARA_TRY(const Measured m, Repeat(engine, clock, options, options.prompt_tokens, 0));
    const double n_tokens = static_cast<double>(options.batch) * options.prompt_tokens;
    result.time_to_first_token_seconds = Median(m.prefill_seconds);
    result.prefill_tokens_per_s = n_tokens / result.time_to_first_token_seconds;
    result.prefill_tokens_per_s_best = n_tokens / Best(m.prefill_seconds);
  }
  if (options.generate_tokens > 0) {
    const int n_prompt = std::max(1, options.depth_tokens);
    TATARA_TRY(const Measured m, Repeat(engine, clock, options, n_prompt, options.generate_tokens));
    const double n_tokens = static_cast<double>(options.batch) * options.generate_tokens;
    result.decode_tokens_per_s = n_tokens / Median(m.decode_seconds);
    result.decode_tokens_per_s_best = n_tokens / Best(m.decode_seconds);
    result.passes_per_decode = m.decode_passes;
  }
  return result;
}

Result<BenchResult> RunBench(const std::string& path, const BenchOptions& options) {
  TATARA_RETURN_IF_ERROR(CheckOptions(options));
  EngineOptions engine_options = options.engine;
  const std::int64_t longest = std::max<std::int64_t>(
      options.prompt_tokens + 1, std::max(1, options.depth_tokens) + options.generate_tokens + 1);
  engine_options.context_tokens = longest;
  // Whole pages for every sequence.
  engine_options.cache_tokens = options.batch * (longest + 64);
  engine_options.sequences_max = options.batch;
  engine_options.prefix_cache = false;
  engine_options.step_ms_max = 0;
  engine_options.tokenizer_optional = true;
  const Clock& clock = engine_options.clock != nullptr ? *engine_options.clock : SystemClock();
  const std::int64_t start = clock.MonotonicNanoseconds();
  TATARA_TRY(const auto engine, Engine::Open(path, engine_options));
  const std::int64_t opened = clock.MonotonicNanoseconds();
  TATARA_TRY(BenchResult result, RunBench(*engine, options));
  result.load_seconds = static_cast<double>(opened - start) * 1e-9;
  return result;
}

}  // namespace tatara::generate
