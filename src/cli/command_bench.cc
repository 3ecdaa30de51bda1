#include "tatara/generate/bench.h"

#include <fmt/format.h>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/numerics/isa.h"

namespace tatara::cli {
namespace {

Result<int> BenchLongPrompt(const std::string& path, const BenchOptions& options) {
  nlohmann::ordered_json all;
  for (const bool fair : {true, false}) {
    ProgressLine progress(ProgressLine::Unit::kBytes);
    generate::MixOptions mix{.long_tokens = options.long_prompt_tokens};
    mix.engine.n_threads = options.model.n_threads;
    mix.engine.f32_activations = options.model.activations == "f32";
    mix.engine.step_ms_max = options.step_ms_max;
    mix.engine.fair = fair;
    mix.engine.progress = &progress;
    TATARA_TRY(const generate::MixResult r, generate::RunMix(path, mix));
    progress.Clear();
    all[fair ? "fair" : "first_come_first_served"] = {{"gap_ms_p50", r.gap_ms_p50},
                                                      {"gap_ms_p99", r.gap_ms_p99},
                                                      {"gap_ms_max", r.gap_ms_max},
                                                      {"gaps", r.n_gaps},
                                                      {"first_token_ms_p50", r.first_token_ms_p50},
                                                      {"first_token_ms_p99", r.first_token_ms_p99},
                                                      {"short_requests", r.n_short},
                                                      {"long_seconds", r.long_seconds}};
    if (options.json) continue;
    const auto ms = [](double value) { return fmt::format("{:.0f}", value); };
    Out(fair ? Tr("fair shares") : Tr("first come, first served"));
    Out("\n  " +
        Tr("between two tokens of a chat: median {0} ms, p99 {1} ms, longest {2} ms",
           ms(r.gap_ms_p50), ms(r.gap_ms_p99), ms(r.gap_ms_max)) +
        "\n  " +
        Tr("first token of a short request: median {0} ms, p99 {1} ms ({2} requests)",
           ms(r.first_token_ms_p50), ms(r.first_token_ms_p99), r.n_short) +
        "\n  " + Tr("the long prompt: {0} s", fmt::format("{:.1f}", r.long_seconds)) + "\n");
  }
  if (options.json) OutJson(all);
  return 0;
}

}  // namespace

Result<int> Bench(const BenchOptions& options) {
  TATARA_TRY(const std::string path, ResolveModelPath(options.model.model));
  if (options.long_prompt_tokens > 0) return BenchLongPrompt(path, options);
  ProgressLine progress(ProgressLine::Unit::kBytes);
  generate::BenchOptions bench;
  bench.prompt_tokens = options.prompt_tokens;
  bench.generate_tokens = options.generate_tokens;
  bench.batch = options.batch;
  bench.repetitions = options.rounds;
  bench.engine.n_threads = options.model.n_threads;
  bench.engine.f32_activations = options.model.activations == "f32";
  bench.engine.progress = &progress;
  TATARA_TRY(const generate::BenchResult result, generate::RunBench(path, bench));
  progress.Clear();
  const double each = result.decode_tokens_per_s / options.batch;
  if (options.json) {
    OutJson({{"prefill_tokens_per_s", result.prefill_tokens_per_s},
             {"decode_tokens_per_s", result.decode_tokens_per_s},
             {"decode_tokens_per_s_each", each},
             {"prefill_tokens_per_s_best", result.prefill_tokens_per_s_best},
             {"decode_tokens_per_s_best", result.decode_tokens_per_s_best},
             {"time_to_first_token_seconds", result.time_to_first_token_seconds},
             {"load_seconds", result.load_seconds},
             {"prompt_tokens", options.prompt_tokens},
             {"generate_tokens", options.generate_tokens},
             {"batch", options.batch},
             {"rounds", options.rounds},
             {"isa", numerics::IsaName(numerics::ActiveIsa())}});
    return 0;
  }
  Out(Tr("load               {0}", FormatDuration(result.load_seconds)) + "\n");
  Out(Tr("prefill            {0} tokens/s ({1} sequences of {2} tokens)",
         fmt::format("{:.1f}", result.prefill_tokens_per_s), options.batch, options.prompt_tokens) +
      "\n");
  Out(Tr("generation         {0} tokens/s in all, {1} for each sequence",
         fmt::format("{:.1f}", result.decode_tokens_per_s), fmt::format("{:.1f}", each)) +
      "\n");
  return 0;
}

}  // namespace tatara::cli
