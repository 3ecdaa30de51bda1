// serve: models over HTTP until Ctrl-C or SIGTERM.
#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "commands.h"
#include "models_access.h"
#include "tatara/assistant/service.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/govern/api_keys.h"
#include "tatara/server/server.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

// The server's view of the keys of this machine.
class GovernedKeys final : public server::KeyCheck {
 public:
  explicit GovernedKeys(std::unique_ptr<govern::ApiKeys> keys) : keys_(std::move(keys)) {}
  std::optional<assistant::Caller> Check(std::string_view secret) override {
    auto key = keys_->Check(secret);
    if (!key) return std::nullopt;
    return assistant::Caller{.tenant = std::move(key->tenant), .key = std::move(key->id)};
  }
  bool StillValid(std::string_view id) override { return keys_->IsValid(id); }
  govern::ApiKeys& keys() { return *keys_; }

 private:
  const std::unique_ptr<govern::ApiKeys> keys_;
};

// Times of use reach the disk this often, and at the end.
constexpr auto kSaveKeysEvery = std::chrono::seconds(60);

// A path would tell callers where files lie here; its file's name without the ending serves.
std::string ServedName(const std::string& model) {
  const std::filesystem::path path(model);
  return model.find('/') == std::string::npos ? model : path.stem().string();
}

// As a model that generates; where it is none, as one that embeds.
Result<> AddModel(const std::string& name, const ServeOptions& options, assistant::Service& service,
                  const assistant::ServiceOptions& limits) {
  TATARA_TRY(std::string digest, ModelDigest(name));
  const ModelOptions model{.model = name,
                           .activations = options.activations,
                           .n_threads = options.n_threads,
                           .context_tokens = options.context_tokens};
  generate::EngineOptions engine_options{.sequences_max = limits.sequences_max};
  engine_options.spill_dir = TataraHome() / "pages";
  engine_options.model_sha256 = digest;
  auto engine = OpenEngine(model, engine_options);
  if (engine.ok())
    return service.AddEngine(ServedName(name), std::move(digest), std::move(engine).value());
  auto embedder = OpenEmbedder(
      {.model = name, .activations = options.activations, .n_threads = options.n_threads});
  if (!embedder.ok()) return engine.error();
  return service.AddEmbedder(ServedName(name), std::move(digest), std::move(embedder).value());
}

}  // namespace

Result<int> Serve(const ServeOptions& options) {
  std::vector<std::string> models = options.models;
  if (models.empty()) {
    TATARA_TRY(std::string name, DefaultAskModel());
    models.push_back(std::move(name));
  }
  TATARA_TRY(auto api_keys, govern::ApiKeys::Open(TataraHome()));
  const auto keys = std::make_shared<GovernedKeys>(std::move(api_keys));
  const bool require_key = options.require_key || !server::IsLoopback(options.host);
  std::optional<govern::NewApiKey> first;
  if (require_key) {
    TATARA_TRY(first, keys->keys().AddFirst());
  }
  const assistant::ServiceOptions limits{.home = TataraHome()};
  assistant::Service service(limits);
  for (const std::string& name : models) {
    if (StopRequested().IsSet()) return kExitInterrupted;
    TATARA_RETURN_IF_ERROR(AddModel(name, options, service, limits));
  }
  TATARA_TRY(const auto server,
             server::Server::Start(service, {.host = options.host,
                                             .port = options.port,
                                             .strict = options.strict,
                                             .history_folder = TataraHome() / "history",
                                             .keys = keys,
                                             .require_key = require_key}));
  Out(Tr("listening on {0}", server->address()) + "\n");
  for (const auto& info : service.Models()) {
    Out(Tr("model: {0} ({1})", info.name, info.architecture) + "\n");
  }
  if (first) {
    Out(Tr("key, shown this once: {0}", first->secret) + "\n");
  } else if (require_key) {
    Out(Tr("a key is asked for; more of them: tatara keys add NAME") + "\n");
  }
  TATARA_RETURN_IF_ERROR(FinishOutput());
  auto saved = std::chrono::steady_clock::now();
  while (!StopRequested().IsSet()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (std::chrono::steady_clock::now() - saved < kSaveKeysEvery) continue;
    saved = std::chrono::steady_clock::now();
    if (const auto written = keys->keys().SaveLastUsed(); !written.ok()) {
      Remark(written.error().text(CurrentLanguage()));
    }
  }
  Remark(
      Tr("stopping: requests that run may end, new ones are refused; again Ctrl-C ends at once"));
  server->Stop();
  service.Stop();
  TATARA_RETURN_IF_ERROR(keys->keys().SaveLastUsed());
  return 0;
}

}  // namespace tatara::cli
