#include "tatara/assistant/service.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine_thread.h"
#include "generate_job.h"
#include "task_thread.h"
#include "tatara/base/philox.h"
#include "tatara/generate/embedder.h"
#include "tatara/ledger/receipt.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {
namespace {

using Json = nlohmann::ordered_json;

// Whole numbers up to this survive a reader that holds numbers as doubles.
constexpr int kSeedBits = 53;

generate::SamplingParams ParamsOf(const SamplingWish& wish, std::uint64_t seed) {
  return {.temperature = wish.temperature,
          .top_k = wish.top_k,
          .top_p = wish.top_p,
          .min_p = wish.min_p,
          .repetition_penalty = wish.repetition_penalty,
          .presence_penalty = wish.presence_penalty,
          .frequency_penalty = wish.frequency_penalty,
          .logit_bias = wish.logit_bias,
          .seed = seed};
}

// The template's further variables, with the tools among them.
Result<std::string> Variables(const Conversation& chat) {
  if (chat.tools_json.empty()) return chat.variables_json;
  Json variables = chat.variables_json.empty()
                       ? Json::object()
                       : Json::parse(chat.variables_json, nullptr, /*allow_exceptions=*/false);
  Json tools = Json::parse(chat.tools_json, nullptr, /*allow_exceptions=*/false);
  if (!variables.is_object() || !tools.is_array()) {
    return Refuse("the tools or template variables are not JSON");
  }
  variables["tools"] = std::move(tools);
  return variables.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> Render(const generate::Engine& engine, const Conversation& chat) {
  TATARA_TRY(const std::string variables, Variables(chat));
  return engine.RenderChat(chat.messages_json, variables);
}

// Those of the format's markers that are control tokens, which a model's text leaves out unless
// they are asked for.
struct ControlMarkers {
  std::vector<std::int32_t> ids;
  std::vector<std::string> texts;
};
ControlMarkers ControlMarkersOf(const text::Tokenizer& tokenizer,
                                const text::AnswerFormat& format) {
  ControlMarkers found;
  for (std::string& marker : format.Markers()) {
    const auto ids = tokenizer.Encode(marker, {.add_start = false, .parse_special = true});
    if (ids.size() != 1 || !tokenizer.IsControl(ids.front())) continue;
    found.ids.push_back(ids.front());
    found.texts.push_back(std::move(marker));
  }
  return found;
}

}  // namespace

void Histogram::Add(double value) {
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), value) - kBounds.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum += value;
}

struct Service::Model {
  ModelInfo info;
  std::string activations;
  std::unique_ptr<EngineThread> engine;  // kGenerates
  std::unique_ptr<generate::Embedder> embedder;
  std::unique_ptr<TaskThread> tasks;  // kEmbeds; ends before the embedder

  std::mutex mutex;  // of `state`'s sums
  ModelState state;

  const text::Tokenizer& tokenizer() const {
    return engine ? engine->engine().tokenizer() : embedder->tokenizer();
  }
  void Measure(const generate::Completion& completion) {
    const std::lock_guard lock(mutex);
    state.prompt_tokens += completion.prompt_tokens;
    const auto n = completion.token_ids.size();
    if (n == 0) return;
    state.queue_time.Add(completion.queue_seconds);
    state.time_to_first_token.Add(completion.queue_seconds + completion.prefill_seconds);
    if (n > 1) state.time_per_output_token.Add(completion.decode_seconds / double(n - 1));
    state.whole_time.Add(completion.queue_seconds + completion.prefill_seconds +
                         completion.decode_seconds);
  }
  void CountTurnedAway() {
    const std::lock_guard lock(mutex);
    ++state.turned_away;
  }
};

// The newest receipts' makings, oldest forgotten first.
struct Service::Receipts {
  struct Kept {
    std::shared_ptr<const RunReceipt> receipt;
    std::size_t bytes = 0;
  };
  mutable std::mutex mutex;
  std::deque<std::string> order;
  std::unordered_map<std::string, Kept> by_id;
  std::size_t bytes = 0;

  void Keep(std::string id, RunReceipt receipt) {
    const std::size_t size =
        1024 + receipt.origin.prompt.size() + receipt.completion.text.size() +
        4 * (receipt.request.prompt.size() + receipt.completion.token_ids.size());
    auto shared = std::make_shared<const RunReceipt>(std::move(receipt));
    const std::lock_guard lock(mutex);
    if (!by_id.emplace(id, Kept{std::move(shared), size}).second) return;
    order.push_back(std::move(id));
    bytes += size;
    while (order.size() > kReceiptsMax || (bytes > kReceiptStoreBytesMax && order.size() > 1)) {
      const auto oldest = by_id.find(order.front());
      bytes -= oldest->second.bytes;
      by_id.erase(oldest);
      order.pop_front();
    }
  }
  std::shared_ptr<const RunReceipt> Find(std::string_view id) const {
    const std::lock_guard lock(mutex);
    const auto it = by_id.find(std::string(id));
    return it == by_id.end() ? nullptr : it->second.receipt;
  }
};

Service::Service(ServiceOptions options)
    : options_(std::move(options)), receipts_(std::make_unique<Receipts>()) {
  if (options_.clock == nullptr) options_.clock = &SystemClock();
}

Service::~Service() {
  Stop();
}

void Service::Stop() {
  for (const auto& model : models_) {
    if (model->engine) model->engine->Stop();
    if (model->tasks) model->tasks->Stop();
  }
}

Result<> Service::AddEngine(std::string name, std::string sha256,
                            std::unique_ptr<generate::Engine> engine) {
  if (FindModel(name).ok()) return Refuse("the model '{0}' is named twice", name);
  auto model = std::make_unique<Model>();
  const generate::ModelFacts& facts = engine->facts();
  model->info = {.name = name,
                 .sha256 = std::move(sha256),
                 .kind = ModelKind::kGenerates,
                 .architecture = facts.architecture,
                 .created_unix = options_.clock->UnixSeconds(),
                 .context_tokens = facts.context_tokens,
                 .n_parameters = facts.n_parameters,
                 .n_vocab = facts.n_vocab,
                 .has_chat_template = facts.has_chat_template};
  model->state.name = std::move(name);
  model->engine = std::make_unique<EngineThread>(
      std::move(engine),
      EngineThread::Limits{.requests_max = options_.sequences_max + options_.queue_max},
      *options_.clock);
  models_.push_back(std::move(model));
  return Ok{};
}

Result<> Service::AddEmbedder(std::string name, std::string sha256,
                              std::unique_ptr<generate::Embedder> embedder) {
  if (FindModel(name).ok()) return Refuse("the model '{0}' is named twice", name);
  auto model = std::make_unique<Model>();
  const generate::EmbedderFacts& facts = embedder->facts();
  model->info = {.name = name,
                 .sha256 = std::move(sha256),
                 .kind = ModelKind::kEmbeds,
                 .architecture = facts.architecture,
                 .created_unix = options_.clock->UnixSeconds(),
                 .context_tokens = facts.n_ctx,
                 .n_parameters = facts.n_parameters,
                 .n_vocab = facts.n_vocab,
                 .n_embd = facts.n_embd};
  model->state.name = std::move(name);
  model->embedder = std::move(embedder);
  model->tasks = std::make_unique<TaskThread>(static_cast<std::size_t>(options_.queue_max));
  models_.push_back(std::move(model));
  return Ok{};
}

std::vector<ModelInfo> Service::Models() const {
  std::vector<ModelInfo> infos;
  for (const auto& model : models_) infos.push_back(model->info);
  return infos;
}

Result<Service::Model*> Service::FindModel(std::string_view name) const {
  std::string known;
  for (const auto& model : models_) {
    if (model->info.name == name) return model.get();
    known += (known.empty() ? "" : ", ") + model->info.name;
  }
  if (name.empty() && models_.size() == 1) return models_.front().get();
  if (name.empty()) {
    return MakeError(ErrorKind::kNotFound, "no model is named; served here are: {0}", known);
  }
  return MakeError(ErrorKind::kNotFound, "the model '{0}' is not served here; served are: {1}",
                   name.substr(0, 200), known);
}

Result<ModelInfo> Service::Find(std::string_view name, ModelKind kind) const {
  if (name.empty()) {
    const auto of_kind = [&](const auto& model) { return model->info.kind == kind; };
    if (std::count_if(models_.begin(), models_.end(), of_kind) == 1) {
      return (*std::find_if(models_.begin(), models_.end(), of_kind))->info;
    }
  }
  TATARA_TRY(const Model* model, FindModel(name));
  if (model->info.kind == kind) return model->info;
  return kind == ModelKind::kGenerates
             ? Refuse("'{0}' is an embedding model and does not generate text", model->info.name)
             : Refuse("'{0}' generates text and is no embedding model", model->info.name);
}

Result<std::shared_ptr<RunningCall>> Service::Generate(GenerateCall call,
                                                       std::shared_ptr<GenerateSink> sink) {
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kGenerates));
  TATARA_TRY(Model* const model, FindModel(info.name));
  const generate::Engine& engine = model->engine->engine();

  // Every prompt with the text it was made of.
  std::vector<std::pair<std::vector<std::int32_t>, generate::PromptOrigin>> prompts;
  const auto add = [&](std::vector<std::int32_t> ids, generate::PromptForm form, std::string text) {
    prompts.emplace_back(std::move(ids),
                         generate::PromptOrigin{info.name, info.sha256, form, std::move(text)});
  };
  GenerateJob::Parts parts;
  std::vector<std::int32_t> shown_tokens;
  if (call.chat) {
    TATARA_TRY(std::string rendered, Render(engine, *call.chat));
    auto format = text::AnswerFormat::FromTemplate(engine.chat_template_source());
    if (call.chat->tools_json.empty()) format = format.WithoutCalls();
    ControlMarkers control = ControlMarkersOf(engine.tokenizer(), format);
    shown_tokens = std::move(control.ids);
    parts.parsing = {.starts_thinking = format.PromptThinks(rendered),
                     .tools_json = call.chat->tools_json,
                     .control_markers = std::move(control.texts)};
    parts.format = std::move(format);
    auto ids = engine.EncodeRendered(rendered);
    add(std::move(ids), generate::PromptForm::kChat, std::move(rendered));
  }
  for (std::string& text : call.texts) {
    auto ids = engine.tokenizer().Encode(text, {.add_start = true});
    add(std::move(ids), generate::PromptForm::kText, std::move(text));
  }
  for (auto& ids : call.id_lists) add(std::move(ids), generate::PromptForm::kIds, {});
  if (prompts.empty()) return Refuse("there is no prompt");
  if (call.n < 1 || prompts.size() > static_cast<std::size_t>(kCallChoicesMax / call.n)) {
    return Refuse("{0} prompts with {1} choices each; at most {2} choices in all", prompts.size(),
                  call.n, kCallChoicesMax);
  }

  auto running = std::make_shared<RunningCall>();
  running->seed = call.sampling.seed.value_or(FreshSeed() >> (64 - kSeedBits));
  const generate::SamplingParams sampling = ParamsOf(call.sampling, running->seed);
  TATARA_RETURN_IF_ERROR(sampling.Check());
  auto job = std::make_shared<EngineJob>();
  for (const auto& [ids, origin] : prompts) {
    if (ids.empty()) return Refuse("the prompt is empty and this model has no start token");
    const std::int64_t room = info.context_tokens - static_cast<std::int64_t>(ids.size());
    if (room < std::max(call.tokens_max, 1)) {
      return Refuse("the prompt has {0} tokens and {1} are to be generated; the context has {2}",
                    ids.size(), std::max(call.tokens_max, 1), info.context_tokens);
    }
    for (int k = 0; k < call.n; ++k) {
      generate::Request request{.prompt = ids, .sampling = sampling, .stop = call.stop};
      request.tokens_max = call.tokens_max > 0 ? call.tokens_max : static_cast<int>(room);
      request.top_logprobs = call.top_logprobs;
      request.ignore_end = call.ignore_end;
      request.choice = static_cast<std::uint32_t>(k);
      request.shown_tokens = shown_tokens;
      request.cache_scope = call.caller.tenant;
      request.fair_key = call.caller.key;
      job->requests.push_back(std::move(request));
      parts.origins.push_back(origin);
    }
  }
  parts.call = running;
  parts.sink = std::move(sink);
  parts.tokenizer = &engine.tokenizer();
  parts.requests = job->requests;
  parts.clock = options_.clock;
  parts.model = info.name;
  parts.receipt_id = std::move(call.id);
  parts.keep = [this](std::string id, RunReceipt receipt) {
    receipts_->Keep(std::move(id), std::move(receipt));
  };
  parts.measure = [model](const generate::Completion& completion) { model->Measure(completion); };
  auto answer = std::make_shared<GenerateJob>(std::move(parts));
  job->call = running;
  job->deadline_ns = options_.clock->MonotonicNanoseconds() +
                     static_cast<std::int64_t>(options_.deadline_seconds * 1e9);
  job->on_text = [answer](std::size_t i, std::string_view text) { answer->OnText(i, text); };
  job->on_logprob = [answer](std::size_t i, const generate::TokenLogprob& logprob) {
    answer->OnLogprob(i, logprob);
  };
  job->on_done = [answer](std::size_t i, Result<generate::Completion> result) {
    answer->OnEnd(i, std::move(result));
  };
  if (auto posted = model->engine->Post(std::move(job)); !posted.ok()) {
    model->CountTurnedAway();
    return posted.error();
  }
  return running;
}

namespace {

Result<EmbedAnswer> RunEmbed(generate::Embedder& embedder, const EmbedCall& call) {
  EmbedAnswer answer{.n_embd = embedder.facts().n_embd};
  if (!call.texts.empty()) {
    const auto role = call.role == EmbedRole::kQuery     ? generate::TextRole::kQuery
                      : call.role == EmbedRole::kPassage ? generate::TextRole::kPassage
                                                         : generate::TextRole::kPlain;
    TATARA_TRY(answer.vectors, embedder.Embed(call.texts, {.role = role}));
    for (const std::string& text : call.texts) {
      answer.prompt_tokens += static_cast<int>(
          embedder.tokenizer().Encode(text, {.add_start = true, .add_end = true}).size());
    }
  }
  for (const auto& ids : call.id_lists) {
    TATARA_TRY(const auto vector, embedder.EmbedTokens(ids, /*normalise=*/true));
    answer.vectors.insert(answer.vectors.end(), vector.begin(), vector.end());
    answer.prompt_tokens += static_cast<int>(ids.size());
  }
  return answer;
}

Result<RerankAnswer> RunRerank(generate::Embedder& embedder, const RerankCall& call) {
  RerankAnswer answer;
  TATARA_TRY(answer.scores, embedder.Rerank(call.query, call.passages));
  const auto count = [&](const std::string& text) {
    return static_cast<int>(embedder.tokenizer().Encode(text, {.add_end = true}).size());
  };
  answer.prompt_tokens = count(call.query);
  for (const std::string& passage : call.passages) answer.prompt_tokens += count(passage);
  return answer;
}

}  // namespace

Result<std::shared_ptr<RunningCall>> Service::Embed(EmbedCall call,
                                                    std::function<void(Result<EmbedAnswer>)> done) {
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kEmbeds));
  TATARA_TRY(Model* const model, FindModel(info.name));
  auto running = std::make_shared<RunningCall>();
  auto posted =
      model->tasks->Post([model, running, call = std::move(call), done = std::move(done)] {
        if (running->cancelled()) {
          return done(MakeError(ErrorKind::kCancelled, "the caller cancelled the request"));
        }
        auto answer = RunEmbed(*model->embedder, call);
        if (answer.ok()) {
          const std::lock_guard lock(model->mutex);
          model->state.prompt_tokens += answer->prompt_tokens;
          ++model->state.finished;
        }
        done(std::move(answer));
      });
  if (posted.ok()) return running;
  model->CountTurnedAway();
  return posted.error();
}

Result<std::shared_ptr<RunningCall>> Service::Rerank(
    RerankCall call, std::function<void(Result<RerankAnswer>)> done) {
  TATARA_TRY(const ModelInfo info, Find(call.model, ModelKind::kEmbeds));
  TATARA_TRY(Model* const model, FindModel(info.name));
  auto running = std::make_shared<RunningCall>();
  auto posted =
      model->tasks->Post([model, running, call = std::move(call), done = std::move(done)] {
        if (running->cancelled()) {
          return done(MakeError(ErrorKind::kCancelled, "the caller cancelled the request"));
        }
        done(RunRerank(*model->embedder, call));
      });
  if (posted.ok()) return running;
  model->CountTurnedAway();
  return posted.error();
}

Result<std::vector<std::int32_t>> Service::Tokenize(std::string_view name, std::string_view text,
                                                    const TokenizeWish& wish) const {
  TATARA_TRY(const Model* model, FindModel(name));
  return model->tokenizer().Encode(text, {.add_start = wish.add_special,
                                          .add_end = wish.add_special && model->embedder,
                                          .parse_special = wish.parse_special});
}

Result<std::vector<std::int32_t>> Service::TokenizeChat(std::string_view name,
                                                        const Conversation& chat) const {
  TATARA_TRY(const ModelInfo info, Find(name, ModelKind::kGenerates));
  TATARA_TRY(const Model* model, FindModel(info.name));
  TATARA_TRY(const std::string rendered, Render(model->engine->engine(), chat));
  return model->engine->engine().EncodeRendered(rendered);
}

Result<std::string> Service::Detokenize(std::string_view name,
                                        const std::vector<std::int32_t>& ids) const {
  TATARA_TRY(const Model* model, FindModel(name));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= model->tokenizer().vocabulary_size()) {
      return Refuse("tokens[{0}]: the vocabulary has no token {1}; its ids are 0 to {2}", i, ids[i],
                    model->tokenizer().vocabulary_size() - 1);
    }
  }
  return model->tokenizer().Decode(ids, /*show_special=*/true);
}

Result<std::string> Service::ApplyTemplate(std::string_view name, const Conversation& chat) const {
  TATARA_TRY(const ModelInfo info, Find(name, ModelKind::kGenerates));
  TATARA_TRY(const Model* model, FindModel(info.name));
  TATARA_TRY(const std::string rendered, Render(model->engine->engine(), chat));
  return text::Tokenizer::Unguarded(rendered);
}

Result<std::string> Service::Receipt(std::string_view id) const {
  const auto kept = receipts_->Find(id);
  if (!kept) {
    return MakeError(ErrorKind::kNotFound,
                     "there is no receipt '{0}'; the newest {1} are kept while the server runs",
                     id.substr(0, 200), kReceiptsMax);
  }
  TATARA_TRY(const Model* model, FindModel(kept->model));
  TATARA_TRY(const auto key, ledger::SigningKey::LoadOrCreate(options_.home));
  RecordFields record =
      generate::RunFields(model->engine->engine(), kept->request, kept->origin, kept->completion);
  // A digest of all logits was not taken; without the field a replay does not compare it.
  record.erase("output.logits_sha256");
  return ledger::MakeReceipt(
      {.kind = "run",
       .created_utc = FormatUtc(kept->created_unix),
       .fields = {record.begin(), record.end()}},  // by name, so the inputs come first
      key);
}

std::vector<ModelState> Service::States() const {
  std::vector<ModelState> states;
  for (const auto& model : models_) {
    ModelState state;
    {
      const std::lock_guard lock(model->mutex);
      state = model->state;
    }
    if (model->engine) {
      const generate::EngineCounters counters = model->engine->counters();
      state.running = counters.running;
      state.waiting = std::max(0, model->engine->outstanding() - counters.running);
      state.pages_total = counters.pages_total;
      state.pages_in_use = counters.pages_in_use;
      state.pages_cached = counters.pages_cached;
      state.steps = counters.passes;
      state.preemptions = counters.preemptions;
      state.prefix_tokens_reused = counters.prefix_tokens_reused;
      state.pages_evicted = counters.pages_evicted;
      state.generated_tokens = counters.tokens_generated;
      state.finished = counters.requests_finished;
      state.cancelled = counters.requests_cancelled;
      state.failed = counters.requests_failed;
    } else {
      state.waiting = static_cast<int>(model->tasks->waiting());
    }
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace tatara::assistant
