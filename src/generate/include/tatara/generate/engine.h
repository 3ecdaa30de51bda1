// Generation: several sequences in one batch over one model, continuous batching with chunked
// prefill, a paged cache with shared prefixes, sampling, stop strings, log-probabilities.
//
// The same request gives the same bits alone or in any batch, with any chunk size, thread count,
// instruction set and cache state.
//
// This header needs no header of a lower module, so that the assistant can use it.
// Thread safety: one thread at a time; facts, tokenizer, template and its const uses: any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/clock.h"
#include "tatara/base/error.h"
#include "tatara/base/progress.h"
#include "tatara/base/replayer.h"

namespace tatara::text {
class Tokenizer;
class ChatTemplate;
}  // namespace tatara::text

namespace tatara::generate {

struct SamplingParams {
  double temperature = 0;         // 0: greedy
  int top_k = 0;                  // 0: off
  double top_p = 1;               // 1: off
  double min_p = 0;               // 0: off
  double repetition_penalty = 1;  // over prompt and output
  double presence_penalty = 0;    // over output
  double frequency_penalty = 0;   // over output
  std::vector<std::pair<std::int32_t, double>> logit_bias;
  std::optional<std::uint64_t> seed;  // absent: drawn and reported
  // Refused, naming the field, its value and the range.
  Result<> Check() const;
};

// What may be generated next: asked before a token is chosen, told which one was. The place where
// grammars and schemas join. Called on the stepping thread only.
class Constraint {
 public:
  virtual ~Constraint() = default;
  // Sets bit id % 64 of words[id / 64] for every id that is allowed; the words come zeroed. A
  // refusal, and a set without any id, ends the request with an error.
  virtual Result<> Allowed(std::span<std::uint64_t> words) = 0;
  virtual void Accept(std::int32_t id) = 0;
};

// An adapter as a caller names it: a GGUF LoRA file or a PEFT folder.
struct AdapterSpec {
  std::string name;  // by which requests and records know it; not empty
  std::string path;
  double scale = 1;         // times the file's own; from -100 to 100
  bool requantise = false;  // merged only: back to a type like the one the matrix had, else f32
};
inline constexpr int kAdaptersMax = 256;  // hot ones of an engine
inline constexpr int kAdapterNameBytesMax = 4096;

enum class AdapterForm { kHot, kMerged, kMergedRequantised };
std::string_view AdapterFormName(AdapterForm form);  // "hot", "merged", "merged, requantised"

struct AdapterFacts {
  std::string name;
  std::string path;
  std::string sha256;  // of the file; of a folder: weights/adapter_file.h
  double scale = 1;
  AdapterForm form = AdapterForm::kHot;
  bool dora = false;
  std::int64_t rank = 0;        // the largest
  std::int64_t n_matrices = 0;  // that it changes
  std::int64_t bytes = 0;       // in memory; 0 where merged
};

struct TokenLogprob {
  std::int32_t id = 0;
  double logprob = 0;  // of the unprocessed logits
  std::vector<std::pair<std::int32_t, double>> top;
};

struct Request {
  std::vector<std::int32_t> prompt;
  SamplingParams sampling;
  int tokens_max = 256;  // 0 with prompt_logprobs only: nothing is generated
  // The text ends before the stop string that is complete first (the longest of those that end
  // there).
  std::vector<std::string> stop;
  int top_logprobs = -1;       // -1: no log-probabilities; 0: of the chosen token only
  int prompt_logprobs = -1;    // likewise, of each token of the prompt after those before it
  bool ignore_end = false;     // go on after an end token
  bool digest_logits = false;  // Completion::logits_sha256
  std::uint32_t choice = 0;    // index of the choice, part of the random key
  std::string cache_scope;     // prefixes are shared only within one scope and one adapter
  std::string fair_key;        // whose share this takes: keys are served alike, whatever they ask
  std::string adapter;         // the name of a hot one; empty: none
  std::shared_ptr<Constraint> constraint;
  // Control tokens whose texts are in the answer's text, for whoever takes answers apart; of all
  // others nothing is.
  std::vector<std::int32_t> shown_tokens;
  // Where log-probabilities are wanted: each token's as it is chosen, before the text that it
  // completes. Called on the stepping thread.
  std::function<void(const TokenLogprob&)> on_logprob;
};

inline constexpr int kShownTokensMax = 256;
inline constexpr int kTopLogprobsMax = 1024;
inline constexpr int kStopStringsMax = 64;
inline constexpr int kStopBytesMax = 1024;
inline constexpr int kLogitBiasMax = 65536;

enum class FinishReason { kStop, kLength, kCancelled };
std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", "cancelled"

struct Completion {
  std::string text;
  std::vector<std::int32_t> token_ids;  // generated, the end token included where one came
  FinishReason finish_reason = FinishReason::kStop;
  std::uint64_t seed = 0;
  int prompt_tokens = 0;
  int cached_tokens = 0;       // of the prompt, taken from the prefix cache
  double queue_seconds = 0;    // from Submit to the first pass
  double prefill_seconds = 0;  // to the first token
  double decode_seconds = 0;   // to the last
  std::vector<TokenLogprob> logprobs;
  std::vector<TokenLogprob> prompt_logprobs;  // of all tokens of the prompt but the first
  std::string logits_sha256;  // over the f32 little-endian logits of every sampled position
  std::optional<AdapterFacts> adapter;  // the hot one that was used
};

// Called on the stepping thread with text that is final (never part of a UTF-8 sequence, never part
// of what may become a stop string); returning false cancels the request.
using OnText = std::function<bool(std::string_view)>;

struct EngineOptions {
  int n_threads = 0;                // 0: all this process may use
  bool f32_activations = false;     // the exact path
  std::int64_t context_tokens = 0;  // most tokens of one sequence; 0: the model's own, at most 8192
  std::int64_t cache_tokens =
      0;                   // KV memory for this many tokens over all sequences; 0: 2 x context
  int sequences_max = 16;  // most in one pass; others wait
  int queue_max = 1024;    // most waiting; then Submit answers kUnavailable
  int chunk_tokens = 512;  // most prompt tokens of one pass, shared out among prompts; every
                           // sequence that decodes adds its one token to the pass
  int step_tokens = 0;     // most tokens of one pass: first one for each sequence that decodes,
                           // prompts get what is left (at least one); 0: no such bound
  // Time a pass should take where several requests run or wait: prompts get only as many tokens as
  // fit, at least 16, so that those that decode need not wait for a long prompt. 0: no such bound.
  int step_ms_max = 100;
  // Shares for Request::fair_key first, then for the requests of a key. Off (for measuring): first
  // come, first served, without regard to step_ms_max.
  bool fair = true;
  bool prefix_cache = true;
  // Pages of prefixes that memory has no room for are kept in this folder (made where it is not
  // there), up to spill_bytes_max, and taken back when they are asked for; another start of the
  // engine finds them. Empty: none. A folder may serve several engines, each with its own bound.
  std::filesystem::path spill_dir;
  std::int64_t spill_bytes_max = std::int64_t{4} << 30;
  std::int64_t spill_keep_seconds = 7 * 24 * 3600;  // those not used for so long go; 0: no limit
  std::string model_sha256;                         // needed with spill_dir: of the model's file
  bool tokenizer_optional = false;   // for ids alone: a model without a tokenizer is no error
  std::optional<AdapterSpec> merge;  // added to the weights while they are loaded
  ProgressSink* progress = nullptr;
  const Clock* clock = nullptr;  // null: the system's
};

struct ModelFacts {
  std::string path;
  std::string name;  // general.name
  std::string architecture;
  std::int64_t context_tokens = 0;  // of this engine
  std::int64_t n_ctx_train = 0;
  int n_vocab = 0;
  std::int64_t n_parameters = 0;
  std::int64_t weight_bytes = 0;
  std::int64_t cache_bytes = 0;
  bool has_chat_template = false;
  bool spills = false;  // false with spill_dir too, where another process uses the folder
  std::optional<AdapterFacts> merged;  // the adapter that the weights hold
};

struct EngineCounters {
  std::int64_t passes = 0;      // over the weights
  int pass_sequences_most = 0;  // the most that one pass computed together
  std::int64_t tokens_computed = 0;
  std::int64_t tokens_generated = 0;
  std::int64_t prefix_hits = 0;  // times that pages of a prefix were taken over
  std::int64_t prefix_tokens_reused = 0;
  std::int64_t pages_evicted = 0;
  std::int64_t pages_spilled = 0;    // written to disk
  std::int64_t pages_restored = 0;   // taken back from there
  std::int64_t spill_dropped = 0;    // pages that were not kept: disk full or too slow
  std::int64_t spill_rejected = 0;   // files that were broken
  std::int64_t preemptions = 0;      // sequences put back to wait, later computed again
  std::int64_t places_given_up = 0;  // of them: for a key that had fewer running
  std::int64_t requests_finished = 0;
  std::int64_t requests_cancelled = 0;
  std::int64_t requests_failed = 0;  // ended with an error after they were accepted
  // As of now:
  int running = 0;
  int waiting = 0;
  int pages_total = 0;
  int pages_in_use = 0;  // held by running sequences
  int pages_cached = 0;  // held by nobody, kept for later prefixes
  std::int64_t pages_on_disk = 0;
  std::int64_t spill_bytes = 0;
};

using RequestId = std::int64_t;

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(const std::string& path,
                                              const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const ModelFacts& facts() const = 0;
  virtual const text::Tokenizer& tokenizer() const = 0;
  // Null where the model has none.
  virtual const text::ChatTemplate* chat_template() const = 0;
  // The template's text as the model's file has it; empty where it has none.
  virtual std::string_view chat_template_source() const { return {}; }
  virtual bool f32_activations() const { return false; }
  virtual const EngineCounters& counters() const = 0;

  // Renders a conversation: messages_json is a JSON array of {"role","content"}; extra_json (may be
  // empty) an object of further template variables. Adds the generation prompt. Special tokens
  // written out in them stay text (PromptFormat::RenderChat). Refused where there is no template.
  virtual Result<std::string> RenderChat(std::string_view messages_json,
                                         std::string_view extra_json) const = 0;
  // Ids of a rendered conversation: its control tokens are parsed, no second start token is added.
  virtual std::vector<std::int32_t> EncodeRendered(std::string_view rendered) const = 0;

  // Refused with the numbers: prompt + tokens_max over the context or the cache, ids outside the
  // vocabulary, bad parameters; kUnavailable where the queue is full. The request runs as Step is
  // called; `done` gets the completion or the error, once, on the stepping thread. Callbacks may
  // call Submit and Cancel, nothing else of the engine.
  virtual Result<RequestId> Submit(Request request, OnText on_text,
                                   std::function<void(Result<Completion>)> done) = 0;
  // The next Step ends it with what it has (FinishReason::kCancelled) and frees its pages. Unknown
  // and finished ids are ignored.
  virtual void Cancel(RequestId id) = 0;
  // One pass over the weights for everything that is running; false when there was nothing to do.
  virtual bool Step() = 0;

  // No prefix of this scope is taken over from now on; what was kept of it in memory and on disk is
  // gone when this returns. Requests that run go on, and leave nothing behind.
  virtual void ForgetScope(std::string_view /*cache_scope*/) {}

  // Submit and step until done (other requests run along).
  Result<Completion> Generate(Request request, OnText on_text = {});

  // Hot adapters, loaded and dropped while requests run, between two steps. Those that run keep
  // theirs. A name that is taken, and a file that does not fit the model, are refused.
  virtual Result<AdapterFacts> AddAdapter(const AdapterSpec& spec);
  virtual Result<> RemoveAdapter(std::string_view name);
  virtual std::vector<AdapterFacts> adapters() const { return {}; }  // in the order of adding

  // Logits of the last position of `tokens` (n_vocab), computed afresh or from shared pages: same
  // bits. With the hot adapter of that name, or none.
  virtual Result<std::vector<float>> LogitsWith(std::span<const std::int32_t> tokens,
                                                std::string_view adapter);
  virtual Result<std::vector<float>> Logits(std::span<const std::int32_t> tokens) = 0;
  // Logits of every position of `tokens`, row after row; for tests, scoring and perplexity.
  virtual Result<std::vector<float>> AllLogits(std::span<const std::int32_t> tokens) = 0;
};

// JSON forms of a request's parameters for receipts: canonical, every field written.
std::string SamplingToJson(const SamplingParams& sampling);
Result<SamplingParams> SamplingFromJson(std::string_view json);

}  // namespace tatara::generate
