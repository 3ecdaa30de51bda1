// Logits of given tokens, outside the batch: for scoring, perplexity, tests.

#include <algorithm>
#include <new>

#include "batch_engine.h"
#include "sampler.h"
#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"

namespace tatara::generate {

Result<std::vector<float>> BatchEngine::LogitsWith(std::span<const std::int32_t> tokens,
                                                   std::string_view adapter) {
  std::vector<float> out;
  ScoreOptions options;
  if (!adapter.empty()) options.adapter = FindAdapter(adapter);
  if (!adapter.empty() && options.adapter == nullptr) return NoSuchAdapter(adapter);
  TATARA_RETURN_IF_ERROR(Score(tokens, options, out));
  return out;
}

Result<std::vector<float>> BatchEngine::AllLogits(std::span<const std::int32_t> tokens) {
  std::vector<float> out;
  TATARA_RETURN_IF_ERROR(Score(tokens, {.every_position = true, .adapter = nullptr}, out));
  return out;
}

// The tokens go through as a sequence older than all others: it takes the pages it needs.
Result<> BatchEngine::Score(std::span<const std::int32_t> tokens, const ScoreOptions& options,
                            std::vector<float>& out) {
  const bool every_position = options.every_position;
  TATARA_CHECK(!in_step_);
  TATARA_RETURN_IF_ERROR(CheckTokens(tokens));
  const auto n_tokens = static_cast<std::int64_t>(tokens.size());
  const std::int64_t most = std::min(facts_.context_tokens, cache_tokens());
  if (n_tokens > most) return Refuse("{0} tokens > context of {1} tokens", n_tokens, most);
  const std::size_t n_rows = every_position ? tokens.size() : 1;
  try {
    out.resize(n_rows * vocabulary());
  } catch (const std::bad_alloc&) {
    return Refuse("no memory for the logits of {0} positions", n_rows);
  }

  const ScopedFpEnvironment environment;
  Sequence s(0, {}, tokenizer());
  s.tokens.assign(tokens.begin(), tokens.end());
  s.adapter = options.adapter;
  s.scope = ScopeKey({});
  if (!every_position) AdoptPrefix(s);
  std::vector<std::int32_t> rows;
  float* next_row = out.data();
  while (s.n_pending() > 0) {
    const std::int64_t n = std::min<std::int64_t>(options_.chunk_tokens, s.n_pending());
    while (!GrowPages(s, s.computed + n)) Preempt(WhoGivesPages(0));
    rows.clear();
    for (std::int64_t i = every_position ? 0 : n - 1; i < n; ++i) {
      if (every_position || n == s.n_pending()) rows.push_back(static_cast<std::int32_t>(i));
    }
    const model::SequenceSlice slice{
        .tokens = tokens.subspan(static_cast<std::size_t>(s.computed), static_cast<std::size_t>(n)),
        .position = s.computed,
        .pages = s.pages,
        .logit_rows = rows,
        .adapter = s.adapter == nullptr ? nullptr : s.adapter->numbers.get()};
    parts_.model->Forward({&slice, 1}, *kv_, *parts_.pool, {next_row, rows.size() * vocabulary()});
    next_row += rows.size() * vocabulary();
    ++counters_.passes;
    Advance(s, n);
  }
  ReleasePages(s);
  return CheckLogits(out);
}

}  // namespace tatara::generate
