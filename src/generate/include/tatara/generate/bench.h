// How fast a model reads and writes on this machine: prompts of a length, and tokens one after the
// other, for one sequence or several together. Random token ids, no tokenizer, no sampling but the
// argmax, no prefix reuse: what llama-bench measures with -p, -n and -d, and llama-batched-bench
// with -npp, -ntg, -npl. Thread safety: as Engine.
#pragma once

#include <string>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/generate/engine.h"

namespace tatara::generate {

struct BenchOptions {
  int prompt_tokens = 512;    // 0: do not measure prefill
  int generate_tokens = 128;  // 0: do not measure decode
  int batch = 1;              // sequences together
  int depth_tokens = 0;       // what each sequence holds already when decode starts
  int repetitions = 3;        // after one that is not counted
  EngineOptions engine;       // sizes are chosen to fit; threads and path are taken as given
};

// Rates over all sequences together: the median of the repetitions, and the best.
struct BenchResult {
  double load_seconds = 0;
  double prefill_tokens_per_s = 0;
  double prefill_tokens_per_s_best = 0;
  double decode_tokens_per_s = 0;
  double decode_tokens_per_s_best = 0;
  double time_to_first_token_seconds = 0;  // of one prompt, alone where batch is 1; median
  std::int64_t passes_per_decode =
      0;  // over the weights, for generate_tokens tokens of every sequence
  ModelFacts facts;
};

Result<BenchResult> RunBench(const std::string& path, const BenchOptions& options);
// The same on an engine that is open: prefix_cache off, sequences_max >= batch, room for all
// tokens.
Result<BenchResult> RunBench(Engine& engine, const BenchOptions& options);

}  // namespace tatara::generate
