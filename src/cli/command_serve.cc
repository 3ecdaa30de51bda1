// serve: models over HTTP until Ctrl-C or SIGTERM; SIGHUP reads the configuration again.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>

#include "commands.h"
#include "models_access.h"
#include "tatara/assistant/service.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/govern/api_keys.h"
#include "tatara/server/config.h"
#include "tatara/server/log.h"
#include "tatara/server/server.h"
#include "tatara/server/tracing.h"
#include "terminal.h"

extern "C" char** environ;

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

std::atomic<bool> reload_requested{false};

void OnHangUp(int) {
  reload_requested = true;
}

// To the service manager that started this, where it asked to be told (sd_notify(3)).
void NotifyServiceManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{.sun_family = AF_UNIX};
  const std::string_view name(path);
  if (name.size() >= sizeof address.sun_path) return;
  name.copy(address.sun_path, name.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
           size);
  ::close(fd);
}

server::ConfigSources SourcesOf(const ServeOptions& options) {
  server::ConfigSources sources{.file = options.config, .overrides = options.settings};
  const auto usual = TataraHome() / "tatara.toml";
  std::error_code error;
  if (sources.file.empty() && std::filesystem::exists(usual, error)) sources.file = usual;
  for (char** entry = environ; *entry != nullptr; ++entry) sources.environment.emplace_back(*entry);
  return sources;
}

Result<server::Config> Load(const ServeOptions& options) {
  TATARA_TRY(server::Config config, server::LoadConfig(SourcesOf(options)));
  if (!options.models.empty()) config.models = options.models;
  if (config.models.empty()) {
    TATARA_TRY(std::string name, DefaultAskModel());
    config.models.push_back(std::move(name));
  }
  return config;
}

// A path would tell callers where files lie here; its file's name without the ending serves.
std::string ServedName(const std::string& model) {
  const std::filesystem::path path(model);
  return model.find('/') == std::string::npos ? model : path.stem().string();
}

generate::EngineOptions EngineOptionsOf(const server::Config& config,
                                        const std::string& model_sha256) {
  const server::EngineSettings& settings = config.engine;
  generate::EngineOptions options{.cache_tokens = config.engine.cache_tokens,
                                  .sequences_max = config.service.sequences_max,
                                  .chunk_tokens = config.engine.chunk_tokens,
                                  .step_tokens = config.engine.step_tokens,
                                  .step_ms_max = config.engine.step_ms_max,
                                  .fair = config.engine.fair,
                                  .prefix_cache = config.engine.prefix_cache};
  if (settings.spill_bytes_max > 0) {
    options.spill_dir = TataraHome() / "pages";
    options.spill_bytes_max = settings.spill_bytes_max;
    options.spill_keep_seconds = settings.spill_keep_seconds;
    options.model_sha256 = model_sha256;
  }
  return options;
}

// As what it is made for: one that embeds or ranks, else one that generates.
Result<> AddModel(const std::string& name, const server::Config& config,
                  assistant::Service& service) {
  TATARA_TRY(std::string digest, ModelDigest(name));
  const server::EngineSettings& settings = config.engine;
  TATARA_TRY(const std::string path, ResolveModelPath(name));
  TATARA_TRY(const bool embeds, generate::Embedder::IsMeantFor(path));
  if (embeds) {
    TATARA_TRY(auto embedder, OpenEmbedder({.model = name,
                                            .activations = settings.activations,
                                            .n_threads = settings.n_threads}));
    return service.AddEmbedder(ServedName(name), std::move(digest), std::move(embedder));
  }
  TATARA_TRY(auto engine, OpenEngine({.model = name,
                                      .activations = settings.activations,
                                      .n_threads = settings.n_threads,
                                      .context_tokens = settings.context_tokens},
                                     EngineOptionsOf(config, digest), TunedForm::kMerged));
  return service.AddEngine(ServedName(name), std::move(digest), std::move(engine));
}

// What a start would need, without starting.
Result<int> CheckOnly(const server::Config& config) {
  for (const std::string& model : config.models) {
    TATARA_TRY([[maybe_unused]] const std::string path, ResolveModelPath(model));
  }
  TATARA_RETURN_IF_ERROR(server::CheckTlsFiles(config.server));
  TATARA_TRY([[maybe_unused]] const auto keys, govern::ApiKeys::Open(TataraHome()));
  Out(Tr("the configuration can be used") + "\n");
  return 0;
}

void SayReady(const server::Server& server, const assistant::Service& service,
              const std::optional<govern::NewApiKey>& first, bool require_key) {
  Out(Tr("listening on {0}", server.address()) + "\n");
  for (const auto& info : service.Models()) {
    Out(Tr("model: {0} ({1})", info.name, info.architecture) + "\n");
  }
  if (first) {
    Out(Tr("key, shown this once: {0}", first->secret) + "\n");
  } else if (require_key) {
    Out(Tr("a key is asked for; more of them: tatara keys add NAME") + "\n");
  }
}

// Reads the configuration again. What can not be used leaves everything as it was.
void Reload(const ServeOptions& options, server::Config& running, server::Server& server,
            server::ServerLog& log) {
  const auto problem = [&](const Error& error) {
    log.Event(server::LogLevel::kError, Tr("reload: {0}", error.text(CurrentLanguage())));
  };
  const auto wanted = Load(options);
  if (!wanted.ok()) return problem(wanted.error());
  const server::ConfigChange change = server::CompareConfigs(running, *wanted);
  const server::Config next = server::WithLiveSettings(running, *wanted);
  if (const auto done = server.Reload(next.server); !done.ok()) return problem(done.error());
  running = next;
  log.Apply(running.log);
  if (const auto done = log.Reopen(); !done.ok()) problem(done.error());
  log.Event(server::LogLevel::kInfo,
            Tr("reloaded; changed: {0}", fmt::format("{}", fmt::join(change.live, ", "))));
  if (!change.needs_restart.empty()) {
    log.Event(server::LogLevel::kWarning,
              Tr("these settings need a restart: {0}",
                 fmt::format("{}", fmt::join(change.needs_restart, ", "))));
  }
}

}  // namespace

Result<int> Serve(const ServeOptions& options) {
  if (options.print_config) {
    Out(server::ConfigExample());
    return 0;
  }
  TATARA_TRY(server::Config config, Load(options));
  if (options.check) return CheckOnly(config);
  TATARA_TRY(const auto log, server::ServerLog::Open(config.log));
  TATARA_TRY(auto api_keys, govern::ApiKeys::Open(TataraHome()));
  const auto keys = std::make_shared<GovernedKeys>(std::move(api_keys));
  std::optional<govern::NewApiKey> first;
  if (config.server.require_key) {
    TATARA_TRY(first, keys->keys().AddFirst());
  }
  config.server.keys = keys;
  std::unique_ptr<server::Tracer> tracer;
  if (!config.tracing.endpoint.empty()) {
    TATARA_TRY(tracer, server::Tracer::Start(config.tracing));
  }
  config.server.on_request = [&log = *log, &tracer](const server::RequestFacts& facts) {
    log.Request(facts);
    if (tracer) tracer->Request(facts);
  };
  if (tracer) config.server.span_counts = [&tracer] { return tracer->counts(); };
  config.service.home = TataraHome();
  if (config.server.history_bytes_max > 0) {
    config.server.history_folder = TataraHome() / "history";
  }
  assistant::Service service(config.service);
  for (const std::string& name : config.models) {
    if (StopRequested().IsSet()) return kExitInterrupted;
    TATARA_RETURN_IF_ERROR(AddModel(name, config, service));
  }
  std::signal(SIGHUP, OnHangUp);
  TATARA_TRY(const auto server, server::Server::Start(service, config.server));
  SayReady(*server, service, first, config.server.require_key);
  TATARA_RETURN_IF_ERROR(FinishOutput());
  NotifyServiceManager("READY=1");
  EndByStopping();

  auto saved = std::chrono::steady_clock::now();
  while (!StopRequested().IsSet()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (reload_requested.exchange(false)) Reload(options, config, *server, *log);
    if (std::chrono::steady_clock::now() - saved < kSaveKeysEvery) continue;
    saved = std::chrono::steady_clock::now();
    if (const auto written = keys->keys().SaveLastUsed(); !written.ok()) {
      log->Event(server::LogLevel::kWarning, written.error().text(CurrentLanguage()));
    }
  }
  NotifyServiceManager("STOPPING=1");
  Remark(
      Tr("stopping: requests that run may end, new ones are refused; again Ctrl-C ends at once"));
  server->Stop();
  service.Stop();
  TATARA_RETURN_IF_ERROR(keys->keys().SaveLastUsed());
  return 0;
}

}  // namespace tatara::cli
