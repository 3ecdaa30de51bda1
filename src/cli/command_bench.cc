#include "tatara/generate/bench.h"

#include <fmt/format.h>

#include "commands.h"
#include "json_output.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/numerics/isa.h"

namespace tatara::cli {

Result<int> Bench(const BenchOptions& options) {
  TATARA_TRY(const std::string path, ResolveModelPath(options.model.model));
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
