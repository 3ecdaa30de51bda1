#include "tatara/assistant/service.h"

#include <algorithm>

#include "receipt_store.h"
#include "service_model.h"
#include "tatara/text/tokenizer.h"

namespace tatara::assistant {

namespace {

constexpr int kWorkingThreads = 2;

}  // namespace

void Histogram::Add(double value) {
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), value) - kBounds.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum += value;
}

Service::Service(ServiceOptions options) : options_(std::move(options)) {
  if (options_.clock == nullptr) options_.clock = &SystemClock();
  asking_ = std::make_unique<TaskThread>(options_.queue_max, options_.asks_together);
  working_ = std::make_unique<TaskThread>(options_.queue_max, kWorkingThreads);
  receipts_ = std::make_unique<ReceiptStore>(ReceiptStoreOptions{
      .root = options_.home / "receipts",
      // Without a folder there is nowhere to keep them.
      .keep_seconds = options_.home.empty() ? 0 : options_.receipts_keep_seconds,
      .bytes_max = options_.receipts_bytes_max,
      .clock = options_.clock});
}

Service::~Service() {
  Stop();
}

void Service::Stop() {
  for (const auto& model : models_) {
    if (model->engine) model->engine->Stop();
    if (model->tasks) model->tasks->Stop();
  }
  asking_->Stop();
  working_->Stop();
}

Result<> Service::Post(const Caller& caller, std::function<void()> work) {
  return working_->Post(caller.key, std::move(work));
}

Result<> Service::Add(ModelInfo info, std::string sha256, const StartModel& start) {
  if (FindModel(info.name).ok()) return Refuse("the model '{0}' is named twice", info.name);
  info.sha256 = std::move(sha256);
  info.created_unix = options_.clock->UnixSeconds();
  auto model = std::make_unique<Model>();
  model->state.name = info.name;
  model->info = std::move(info);
  start(*model);
  models_.push_back(std::move(model));
  return Ok{};
}

Result<> Service::AddEngine(std::string name, std::string sha256,
                            std::unique_ptr<generate::Engine> engine) {
  const generate::ModelFacts& facts = engine->facts();
  ModelInfo info{.name = std::move(name),
                 .kind = ModelKind::kGenerates,
                 .architecture = facts.architecture,
                 .context_tokens = facts.context_tokens,
                 .n_parameters = facts.n_parameters,
                 .n_vocab = facts.n_vocab,
                 .has_chat_template = facts.has_chat_template,
                 .fills_holes = engine->tokenizer().fill_tokens().all()};
  return Add(std::move(info), std::move(sha256), [&](Model& model) {
    model.engine = std::make_unique<EngineThread>(
        std::move(engine),
        QueueShares::Limits{.places = options_.sequences_max + options_.queue_max,
                            .together = options_.sequences_max},
        *options_.clock);
  });
}

Result<> Service::AddEmbedder(std::string name, std::string sha256,
                              std::unique_ptr<generate::Embedder> embedder) {
  const generate::EmbedderFacts& facts = embedder->facts();
  ModelInfo info{.name = std::move(name),
                 .kind = facts.n_classes > 0 ? ModelKind::kRanks : ModelKind::kEmbeds,
                 .architecture = facts.architecture,
                 .context_tokens = facts.n_ctx,
                 .n_parameters = facts.n_parameters,
                 .n_vocab = facts.n_vocab,
                 .n_embd = facts.n_classes > 0 ? 0 : facts.n_embd,
                 .dimensions = facts.sizes.listed,
                 .dimensions_least = facts.sizes.least};
  return Add(std::move(info), std::move(sha256), [&](Model& model) {
    model.embedder = std::move(embedder);
    model.tasks = std::make_unique<TaskThread>(options_.queue_max);
  });
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

Result<EngineThread*> Service::EngineOf(std::string_view name) const {
  TATARA_TRY(const Model* model, FindModel(name));
  if (!model->engine) {
    return Refuse("'{0}' is an embedding model and does not generate text", model->info.name);
  }
  return model->engine.get();
}

Result<ModelInfo> Service::Find(std::string_view name, ModelKind kind) const {
  std::vector<ModelKind> serving = {kind};
  if (kind == ModelKind::kRanks) serving.push_back(ModelKind::kEmbeds);
  for (const ModelKind each : serving) {
    const auto of_kind = [&](const auto& model) { return model->info.kind == each; };
    if (name.empty() && std::count_if(models_.begin(), models_.end(), of_kind) == 1) {
      return (*std::find_if(models_.begin(), models_.end(), of_kind))->info;
    }
  }
  TATARA_TRY(const Model* model, FindModel(name));
  const ModelInfo& info = model->info;
  if (std::find(serving.begin(), serving.end(), info.kind) != serving.end()) return info;
  if (info.kind == ModelKind::kGenerates) {
    return Refuse("'{0}' generates text and is no embedding model", info.name);
  }
  return info.kind == ModelKind::kRanks
             ? Refuse("'{0}' ranks passages for a query; it gives neither vectors nor text",
                      info.name)
             : Refuse("'{0}' is an embedding model and does not generate text", info.name);
}

void Service::WaitForStep() const {
  for (const auto& model : models_) {
    if (model->engine) model->engine->Run([](generate::Engine&) {});
  }
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
      state.pages_spilled = counters.pages_spilled;
      state.pages_restored = counters.pages_restored;
      state.spill_bytes = counters.spill_bytes;
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
