#include "batch_engine.h"

#include <algorithm>
#include <limits>

#include "json_text.h"
#include "tatara/base/check.h"
#include "tatara/base/fp_environment.h"
#include "tatara/base/philox.h"
#include "tatara/base/utf8.h"

namespace tatara::generate {
namespace {

constexpr std::int64_t kContextDefaultMax = 8192;
constexpr int kSequencesMax = 1024;
constexpr int kQueueMax = 1'000'000;
constexpr int kChunkMax = 65536;
constexpr int kStepMsMax = 60'000;
constexpr std::int64_t kCacheTokensMax = std::int64_t{1} << 31;
// Of a first pass that others wait for: nothing is known yet of how fast the machine is.
constexpr double kPromptTokensFirst = 64;
constexpr std::int64_t kSpillNumberMax = std::int64_t{1} << 50;
// What a step waits for the disk where there is nothing else to do.
constexpr int kDiskPauseMs = 5;
// Seeds that are drawn here fit in 53 bits, so that a receipt survives readers whose numbers are
// f64.
constexpr std::uint64_t kSeedMask = (std::uint64_t{1} << 53) - 1;

double Seconds(std::int64_t from_ns, std::int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-9;
}

std::uint64_t DrawSeed() {
  std::uint64_t seed = 0;
  while (seed == 0) seed = FreshSeed() & kSeedMask;
  return seed;
}

Result<> CheckOption(std::string_view name, std::int64_t value, std::int64_t min,
                     std::int64_t max) {
  if (value >= min && value <= max) return Ok{};
  return Refuse("{0} is {1}, expected {2} to {3}", name, value, min, max);
}

Result<> CheckOptions(const EngineOptions& options, const model::ModelInfo& info) {
  TATARA_RETURN_IF_ERROR(CheckOption("sequences_max", options.sequences_max, 1, kSequencesMax));
  TATARA_RETURN_IF_ERROR(CheckOption("queue_max", options.queue_max, 1, kQueueMax));
  TATARA_RETURN_IF_ERROR(CheckOption("chunk_tokens", options.chunk_tokens, 1, kChunkMax));
  TATARA_RETURN_IF_ERROR(CheckOption("context_tokens", options.context_tokens, 0, info.n_ctx));
  TATARA_RETURN_IF_ERROR(CheckOption("step_tokens", options.step_tokens, 0, kChunkMax));
  TATARA_RETURN_IF_ERROR(CheckOption("step_ms_max", options.step_ms_max, 0, kStepMsMax));
  TATARA_RETURN_IF_ERROR(
      CheckOption("spill_bytes_max", options.spill_bytes_max, 0, kSpillNumberMax));
  TATARA_RETURN_IF_ERROR(
      CheckOption("spill_keep_seconds", options.spill_keep_seconds, 0, kSpillNumberMax));
  return CheckOption("cache_tokens", options.cache_tokens, 0, kCacheTokensMax);
}

}  // namespace

Result<std::unique_ptr<BatchEngine>> BatchEngine::Make(EngineParts parts,
                                                       const EngineOptions& given) {
  const model::ModelInfo& info = parts.model->info();
  TATARA_RETURN_IF_ERROR(CheckOptions(given, info));
  if (parts.format->tokenizer().vocabulary_size() > info.n_vocab) {
    return Refuse("{0}: the tokenizer has {1} tokens, but the model only {2}", parts.path,
                  parts.format->tokenizer().vocabulary_size(), info.n_vocab);
  }
  EngineOptions options = given;
  if (options.context_tokens == 0) {
    options.context_tokens = std::min(info.n_ctx, kContextDefaultMax);
  }
  if (options.cache_tokens == 0) options.cache_tokens = 2 * options.context_tokens;
  const auto n_pages =
      static_cast<int>((options.cache_tokens + info.page_tokens - 1) / info.page_tokens);
  TATARA_TRY(auto kv,
             model::KvPool::Make(info.cache, parts.model->cache_type(), n_pages, info.page_tokens));
  std::unique_ptr<BatchEngine> engine(new BatchEngine(std::move(parts), options, std::move(kv)));
  TATARA_RETURN_IF_ERROR(engine->OpenSpill());
  return engine;
}

BatchEngine::BatchEngine(EngineParts parts, const EngineOptions& options,
                         std::unique_ptr<model::KvPool> kv)
    : parts_(std::move(parts)),
      options_(options),
      clock_(options.clock != nullptr ? *options.clock : SystemClock()),
      kv_(std::move(kv)),
      page_tokens_(kv_->page_tokens()),
      page_cache_(kv_->n_pages()) {
  const model::ModelInfo& info = parts_.model->info();
  facts_ = {.path = parts_.path,
            .name = parts_.name,
            .architecture = info.architecture,
            .context_tokens = options_.context_tokens,
            .n_ctx_train = info.n_ctx,
            .n_vocab = info.n_vocab,
            .n_parameters = info.n_parameters,
            .weight_bytes = info.weight_bytes,
            .cache_bytes = static_cast<std::int64_t>(
                model::KvPool::BytesPerPage(info.cache, kv_->type(), info.page_tokens) *
                static_cast<std::size_t>(kv_->n_pages())),
            .has_chat_template = !parts_.format->template_source().empty(),
            .merged = parts_.merged};
  const auto n_sequences = static_cast<std::size_t>(options_.sequences_max);
  const auto n_threads = static_cast<std::size_t>(parts_.pool->n_threads());
  slices_.reserve(n_sequences);
  draws_.reserve(n_sequences);
  logit_rows_.resize(n_sequences + static_cast<std::size_t>(kScoresMax));
  logits_.resize(n_sequences * vocabulary());
  scratch_.resize(n_threads);
  allowed_words_.resize(n_threads);
  counters_.pages_total = kv_->n_pages();
  prompt_tokens_limit_ = std::min<double>(kPromptTokensFirst, options_.chunk_tokens);
}

const EngineCounters& BatchEngine::counters() const {
  counters_.pages_evicted = page_cache_.n_evicted();
  counters_.running = static_cast<int>(running_.size());
  counters_.waiting = static_cast<int>(waiting_.size());
  counters_.pages_in_use = page_cache_.n_held();
  counters_.pages_cached = page_cache_.n_cached();
  if (spill_ != nullptr) {
    const SpillCounters spill = spill_->counters();
    counters_.pages_spilled = spill.written;
    counters_.spill_dropped = spill.dropped;
    counters_.spill_rejected = spill.rejected;
    counters_.pages_on_disk = spill.pages;
    counters_.spill_bytes = spill.bytes;
  }
  return counters_;
}

Result<> BatchEngine::CheckTokens(std::span<const std::int32_t> tokens) const {
  if (tokens.empty()) return Refuse("the prompt has no token");
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= facts_.n_vocab) {
      return Refuse("prompt token {0} is {1}, outside the vocabulary of {2}", i, tokens[i],
                    facts_.n_vocab);
    }
  }
  return Ok{};
}

Result<> BatchEngine::CheckRequest(const Request& request) const {
  TATARA_RETURN_IF_ERROR(request.sampling.Check());
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (id >= facts_.n_vocab) {
      return Refuse("logit_bias: token {0} is outside the vocabulary of {1}", id, facts_.n_vocab);
    }
  }
  TATARA_RETURN_IF_ERROR(
      CheckOption("prompt_logprobs", request.prompt_logprobs, -1, kTopLogprobsMax));
  const int tokens_min = request.prompt_logprobs >= 0 ? 0 : 1;
  TATARA_RETURN_IF_ERROR(
      CheckOption("tokens_max", request.tokens_max, tokens_min, std::numeric_limits<int>::max()));
  TATARA_RETURN_IF_ERROR(CheckOption("top_logprobs", request.top_logprobs, -1, kTopLogprobsMax));
  if (request.stop.size() > kStopStringsMax) {
    return Refuse("{0} stop strings, at most {1} are accepted", request.stop.size(),
                  kStopStringsMax);
  }
  for (std::size_t i = 0; i < request.stop.size(); ++i) {
    const std::string& stop = request.stop[i];
    if (stop.empty() || stop.size() > kStopBytesMax) {
      return Refuse("stop string {0} has {1} bytes, expected 1 to {2}", i, stop.size(),
                    kStopBytesMax);
    }
    // No text that is given out would ever hold it, and a receipt could not either.
    if (!IsValidUtf8(stop)) return Refuse("stop string {0} is not valid UTF-8", i);
  }
  if (request.shown_tokens.size() > kShownTokensMax) {
    return Refuse("{0} tokens to be shown, at most {1} are accepted", request.shown_tokens.size(),
                  kShownTokensMax);
  }
  if (!request.adapter.empty() && FindAdapter(request.adapter) == nullptr) {
    return NoSuchAdapter(request.adapter);
  }
  const auto n_prompt = static_cast<std::int64_t>(request.prompt.size());
  if (n_prompt + request.tokens_max > facts_.context_tokens) {
    return Refuse("prompt of {0} tokens + at most {1} to generate > context of {2} tokens",
                  n_prompt, request.tokens_max, facts_.context_tokens);
  }
  if (n_prompt + request.tokens_max > cache_tokens()) {
    return Refuse("prompt of {0} tokens + at most {1} to generate > cache of {2} tokens", n_prompt,
                  request.tokens_max, cache_tokens());
  }
  return CheckTokens(request.prompt);
}

Result<RequestId> BatchEngine::Submit(Request request, OnText on_text,
                                      std::function<void(Result<Completion>)> done) {
  TATARA_RETURN_IF_ERROR(CheckRequest(request));
  if (waiting_.size() >= static_cast<std::size_t>(options_.queue_max)) {
    return MakeError(ErrorKind::kUnavailable, "{0} requests are waiting already, the most allowed",
                     waiting_.size());
  }
  if (request.prompt_logprobs >= 0) TATARA_RETURN_IF_ERROR(MakeRoomForScores());
  auto s = std::make_unique<Sequence>(next_id_++, std::move(request), tokenizer());
  s->on_text = std::move(on_text);
  s->done = std::move(done);
  s->submitted_ns = Now();
  s->seed = s->request.sampling.seed.value_or(0);
  if (!s->request.sampling.seed) s->seed = DrawSeed();
  s->tokens.reserve(s->request.prompt.size() + static_cast<std::size_t>(s->request.tokens_max));
  s->tokens = s->request.prompt;
  s->history.AddPrompt(s->request.prompt);
  s->scope = ScopeKey(s->request.cache_scope);
  if (!s->request.adapter.empty()) {
    s->adapter = FindAdapter(s->request.adapter);
    s->completion.adapter = s->adapter->facts;
  }
  s->completion.seed = s->seed;
  s->completion.prompt_tokens = static_cast<int>(s->request.prompt.size());
  if (s->request.digest_logits) s->logits_digest.emplace();
  const RequestId id = s->id;
  Enter(std::move(s));
  return id;
}

void BatchEngine::Cancel(RequestId id) {
  for (const SequencePtr& s : waiting_) {
    if (s->id == id) s->cancelled = true;
  }
  for (const SequencePtr& s : running_) {
    if (s->id == id) s->cancelled = true;
  }
}

bool BatchEngine::Step() {
  TATARA_CHECK(!in_step_);
  if (running_.empty() && waiting_.empty()) return false;
  in_step_ = true;
  const ScopedFpEnvironment environment;
  EndCancelled();
  Admit();
  if (!running_.empty()) {
    if (PlanPass()) {
      RunPass();
      SampleAll();
    } else {
      spill_->WaitForLoad(kDiskPauseMs);
    }
  }
  in_step_ = false;
  ReportEnded();
  return true;
}

void BatchEngine::EndCancelled() {
  const auto is_cancelled = [](const SequencePtr& s) { return s->cancelled; };
  // Finish takes a sequence out of its queue, so the search starts anew each time.
  for (auto it = running_.begin();
       (it = std::find_if(running_.begin(), running_.end(), is_cancelled)) != running_.end();) {
    Finish(**it, FinishReason::kCancelled);
  }
  for (auto it = waiting_.begin();
       (it = std::find_if(waiting_.begin(), waiting_.end(), is_cancelled)) != waiting_.end();) {
    Finish(**it, FinishReason::kCancelled);
  }
}

void BatchEngine::SampleAll() {
  parts_.pool->For(static_cast<std::int64_t>(draws_.size()), [&](std::int64_t item, int thread) {
    ChooseToken(draws_[static_cast<std::size_t>(item)], thread);
  });
  ScorePrompts();
  for (Draw& draw : draws_) Accept(draw);
}

// Everything that only reads the request and writes the draw; runs on any thread of the pool.
void BatchEngine::ChooseToken(Draw& draw, int thread) {
  Sequence& s = *draw.sequence;
  SampleScratch& scratch = scratch_[static_cast<std::size_t>(thread)];
  std::span<const std::uint64_t> allowed;
  if (s.request.constraint != nullptr) {
    auto& words = allowed_words_[static_cast<std::size_t>(thread)];
    words.assign((vocabulary() + 63) / 64, 0);
    if (auto said = s.request.constraint->Allowed(words); !said.ok()) {
      draw.id = said.error();
      return;
    }
    allowed = words;
  }
  const RandomKey key{.seed = s.seed,
                      .purpose = RandomPurpose::kSample,
                      .choice = s.request.choice,
                      .position = static_cast<std::uint64_t>(s.n_generated())};
  draw.id = Sample({.logits = draw.logits,
                    .params = s.request.sampling,
                    .history = s.history,
                    .allowed = allowed,
                    .u = RandomUnit(key)},
                   scratch);
  if (!draw.id.ok()) return;
  if (s.request.top_logprobs >= 0) {
    draw.logprob = LogprobOf(draw.logits, *draw.id, s.request.top_logprobs, scratch);
  }
  if (s.logits_digest) s.logits_digest->Update(std::as_bytes(draw.logits));
}

void BatchEngine::Accept(Draw& draw) {
  Sequence& s = *draw.sequence;
  if (!draw.id.ok()) return Fail(s, draw.id.error());
  if (s.request.tokens_max == 0) return Finish(s, FinishReason::kLength);
  const std::int32_t id = *draw.id;
  ++counters_.tokens_generated;
  if (s.n_generated() == 0) s.first_token_ns = Now();
  s.tokens.push_back(id);
  s.history.AddOutput(id);
  if (s.request.constraint != nullptr) s.request.constraint->Accept(id);
  if (s.request.top_logprobs >= 0) {
    if (s.request.on_logprob && !s.cancelled) s.request.on_logprob(draw.logprob);
    s.completion.logprobs.push_back(std::move(draw.logprob));
  }
  const bool ends = tokenizer().EndsGeneration(id);
  if (ends && !s.request.ignore_end) return Finish(s, FinishReason::kStop);
  EmitText(s, s.output.Push(id));
  if (s.output.stopped()) return Finish(s, FinishReason::kStop);
  if (s.cancelled) return Finish(s, FinishReason::kCancelled);
  if (s.n_generated() == s.request.tokens_max) Finish(s, FinishReason::kLength);
}

// Adds final text to the completion and shows it. Saying no to it cancels the request.
void BatchEngine::EmitText(Sequence& s, std::string text) {
  if (text.empty()) return;
  s.completion.text += text;
  if (s.on_text && !s.cancelled && !s.on_text(text)) s.cancelled = true;
}

void BatchEngine::Finish(Sequence& s, FinishReason reason) {
  EmitText(s, s.output.Flush());
  // The last characters may complete a stop string too.
  if (reason == FinishReason::kLength && s.output.stopped()) reason = FinishReason::kStop;
  Completion completion = std::move(s.completion);
  completion.finish_reason = reason;
  completion.token_ids.assign(
      s.tokens.begin() + static_cast<std::ptrdiff_t>(s.request.prompt.size()), s.tokens.end());
  const std::int64_t now = Now();
  const std::int64_t started = s.started_ns != 0 ? s.started_ns : now;
  const std::int64_t first_token = s.first_token_ns != 0 ? s.first_token_ns : now;
  completion.queue_seconds = Seconds(s.submitted_ns, started);
  completion.prefill_seconds = Seconds(started, first_token);
  completion.decode_seconds = Seconds(first_token, now);
  if (s.logits_digest) completion.logits_sha256 = ToHex(s.logits_digest->Finish());
  ++(reason == FinishReason::kCancelled ? counters_.requests_cancelled
                                        : counters_.requests_finished);
  End(s, std::move(completion));
}

void BatchEngine::Fail(Sequence& s, Error error) {
  ++counters_.requests_failed;
  End(s, std::move(error));
}

// Takes the sequence out of its queue; its caller hears of it when the pass is over and all is in
// order.
void BatchEngine::End(Sequence& s, Result<Completion> result) {
  ReleasePages(s);
  accounts_.Leave(s.account);
  const auto is_this = [&](const SequencePtr& other) { return other.get() == &s; };
  if (auto it = std::find_if(running_.begin(), running_.end(), is_this); it != running_.end()) {
    --s.account->n_running;
    ended_.push_back({std::move(*it), std::move(result)});
    running_.erase(it);
    return;
  }
  const auto it = std::find_if(waiting_.begin(), waiting_.end(), is_this);
  TATARA_CHECK(it != waiting_.end());
  ended_.push_back({std::move(*it), std::move(result)});
  waiting_.erase(it);
}

void BatchEngine::ReportEnded() {
  std::vector<Ended> ended;
  ended.swap(ended_);
  for (Ended& e : ended) {
    if (e.sequence->done) e.sequence->done(std::move(e.result));
  }
}

}  // namespace tatara::generate
