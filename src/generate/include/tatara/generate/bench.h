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

// What a long prompt does to others: four chats decode, one after the other short requests come
// (48 tokens in, 4 out), and a prompt of long_tokens is computed meanwhile, every one under a key
// of its own. Times in milliseconds, of the tokens between its arrival and its end.
struct MixOptions {
  int long_tokens = 8192;
  EngineOptions engine;  // sizes are chosen to fit; threads, path, shares and step_ms_max as given
};
struct MixResult {
  int n_gaps = 0;  // between two tokens of a chat
  double gap_ms_p50 = 0, gap_ms_p99 = 0, gap_ms_max = 0;
  int n_short = 0;  // requests that began and got their first token meanwhile
  double first_token_ms_p50 = 0, first_token_ms_p99 = 0;
  double long_seconds = 0;  // until the long prompt had its token
};
Result<MixResult> RunMix(const std::string& path, const MixOptions& options);

}  // namespace tatara::generate
