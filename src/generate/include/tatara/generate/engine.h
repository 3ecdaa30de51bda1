// Generation: several sequences in one batch over one model, continuous batching with chunked prefill,
// a paged cache with shared prefixes, sampling, stop strings, log-probabilities.
//
// The same request gives the same bits alone or in any batch, with any chunk size, thread count,
// instruction set and cache state.
//
// This header needs no header of a lower module, so that the assistant can use it.
// Thread safety: one thread at a time per Engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/base/replayer.h"

namespace tatara::text {
class Tokenizer;
class ChatTemplate;
}  // namespace tatara::text

namespace tatara::generate {

struct SamplingParams {
  double temperature = 0;           // 0: greedy
  int top_k = 0;                    // 0: off
  double top_p = 1;                 // 1: off
  double min_p = 0;                 // 0: off
  double repetition_penalty = 1;    // over prompt and output
  double presence_penalty = 0;      // over output
  double frequency_penalty = 0;     // over output
  std::vector<std::pair<std::int32_t, double>> logit_bias;
  std::optional<std::uint64_t> seed;  // absent: drawn and reported
  // Refused, naming the field, its value and the range.
  Result<> Check() const;
};

struct Request {
  std::vector<std::int32_t> prompt;
  SamplingParams sampling;
  int tokens_max = 256;
  std::vector<std::string> stop;     // output ends before the first of these
  int top_logprobs = -1;             // -1: no log-probabilities; 0: of the chosen token only
  bool ignore_end = false;           // go on after an end token
  bool digest_logits = false;        // Completion::logits_sha256
  std::uint32_t choice = 0;          // index of the choice, part of the random key
  std::string cache_scope;           // prefixes are shared only within one scope
};

struct TokenLogprob {
  std::int32_t id = 0;
  double logprob = 0;  // of the unprocessed logits
  std::vector<std::pair<std::int32_t, double>> top;
};

enum class FinishReason { kStop, kLength, kCancelled };
std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", "cancelled"

struct Completion {
  std::string text;
  std::vector<std::int32_t> token_ids;  // generated, the end token included where one came
  FinishReason finish_reason = FinishReason::kStop;
  std::uint64_t seed = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;                // of the prompt, taken from the prefix cache
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::vector<TokenLogprob> logprobs;
  std::string logits_sha256;            // over the f32 little-endian logits of every sampled position
};

// Called on the stepping thread with text that is final (never part of a UTF-8 sequence, never part of what
// may become a stop string); returning false cancels the request.
using OnText = std::function<bool(std::string_view)>;

struct EngineOptions {
  int n_threads = 0;                  // 0: all this process may use
  bool f32_activations = false;       // the exact path
  std::int64_t context_tokens = 0;    // most tokens of one sequence; 0: the model's own, at most 8192
  std::int64_t cache_tokens = 0;      // KV memory for this many tokens over all sequences; 0: 2 x context
  int sequences_max = 16;
  int chunk_tokens = 512;             // most tokens of one pass
  bool prefix_cache = true;
  ProgressSink* progress = nullptr;
};

struct ModelFacts {
  std::string path;
  std::string name;                   // general.name
  std::string architecture;
  std::int64_t context_tokens = 0;    // of this engine
  std::int64_t n_ctx_train = 0;
  int n_vocab = 0;
  std::int64_t n_parameters = 0;
  std::int64_t weight_bytes = 0;
  std::int64_t cache_bytes = 0;
  bool has_chat_template = false;
};

struct EngineCounters {
  std::int64_t passes = 0;
  std::int64_t tokens_computed = 0;
  std::int64_t prefix_hits = 0;
  std::int64_t prefix_tokens_reused = 0;
  std::int64_t pages_evicted = 0;
};

using RequestId = std::int64_t;

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(const std::string& path, const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const ModelFacts& facts() const = 0;
  virtual const text::Tokenizer& tokenizer() const = 0;
  // Null where the model has none.
  virtual const text::ChatTemplate* chat_template() const = 0;
  virtual const EngineCounters& counters() const = 0;

  // Renders a conversation: messages_json is a JSON array of {"role","content"}; extra_json (may be empty)
  // an object of further template variables. Adds the generation prompt. Refused where there is no template.
  virtual Result<std::string> RenderChat(std::string_view messages_json, std::string_view extra_json) const = 0;
  // Ids of a rendered conversation: its control tokens are parsed, no second start token is added.
  virtual std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const = 0;

  // Refused with the numbers: prompt + tokens_max over the context, ids outside the vocabulary, bad
  // parameters. The request runs as Step is called; `done` gets the completion or the error.
  virtual Result<RequestId> Submit(Request request, OnText on_text,
                                   std::function<void(Result<Completion>)> done) = 0;
  virtual void Cancel(RequestId id) = 0;
  // One pass over the weights for everything that is running; false when there was nothing to do.
  virtual bool Step() = 0;

  // Submit and step until done (other requests run along).
  Result<Completion> Generate(Request request, OnText on_text = {});

  // Logits of the last position of `tokens` (n_vocab), computed afresh or from shared pages: same bits.
  virtual Result<std::vector<float>> Logits(std::span<const std::int32_t> tokens) = 0;
  // Logits of every position of `tokens`, row after row; for tests, scoring and perplexity.
  virtual Result<std::vector<float>> AllLogits(std::span<const std::int32_t> tokens) = 0;
};

// JSON forms of a request's parameters for receipts: canonical, every field written.
std::string SamplingToJson(const SamplingParams& sampling);
Result<SamplingParams> SamplingFromJson(std::string_view json);

}  // namespace tatara::generate
