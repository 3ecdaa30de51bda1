// serve: models over HTTP until Ctrl-C or SIGTERM.
#include <sys/random.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <thread>

#include "commands.h"
#include "models_access.h"
#include "tatara/assistant/service.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/server/server.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

struct ApiKey {
  std::string key;
  bool is_new = false;
};

Result<std::string> RandomKey() {
  std::array<unsigned char, 32> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return ErrnoError("{0}: cannot read: {1}", "getrandom");
  }
  std::string key = "tatara-";
  for (const unsigned char byte : bytes) key += fmt::format("{:02x}", byte);
  return key;
}

// HOME/keys/api, readable by its owner only; made on first use.
Result<ApiKey> LoadOrCreateApiKey(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  std::filesystem::permissions(path.parent_path(), std::filesystem::perms::owner_all, error);
  TATARA_TRY([[maybe_unused]] const auto lock, FileLock::Acquire(path.string() + ".lock", 10'000));
  if (std::filesystem::exists(path, error)) {
    TATARA_TRY(std::string key, ReadWholeFile(path, 4096));
    while (!key.empty() && (key.back() == '\n' || key.back() == ' ')) key.pop_back();
    if (key.empty())
      return Refuse("{0}: holds no key; remove it, and a new one is made", path.string());
    return ApiKey{.key = std::move(key)};
  }
  TATARA_TRY(std::string key, RandomKey());
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(path, key + "\n", {.mode = 0600}));
  return ApiKey{.key = std::move(key), .is_new = true};
}

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
  auto engine = OpenEngine(model, {.sequences_max = limits.sequences_max});
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
  ApiKey key;
  const auto key_path = TataraHome() / "keys" / "api";
  if (!server::IsLoopback(options.host)) {
    TATARA_TRY(key, LoadOrCreateApiKey(key_path));
  }
  const assistant::ServiceOptions limits{.home = TataraHome()};
  assistant::Service service(limits);
  for (const std::string& name : models) {
    if (StopRequested().IsSet()) return kExitInterrupted;
    TATARA_RETURN_IF_ERROR(AddModel(name, options, service, limits));
  }
  TATARA_TRY(const auto server, server::Server::Start(service, {.host = options.host,
                                                                .port = options.port,
                                                                .strict = options.strict,
                                                                .api_key = key.key}));
  Out(Tr("listening on {0}", server->address()) + "\n");
  for (const auto& info : service.Models()) {
    Out(Tr("model: {0} ({1})", info.name, info.architecture) + "\n");
  }
  if (key.is_new) {
    Out(Tr("key, shown this once: {0}", key.key) + "\n");
  } else if (!key.key.empty()) {
    Out(Tr("key: as in {0}", key_path.string()) + "\n");
  }
  TATARA_RETURN_IF_ERROR(FinishOutput());
  while (!StopRequested().IsSet()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  Remark(
      Tr("stopping: requests that run may end, new ones are refused; again Ctrl-C ends at once"));
  server->Stop();
  service.Stop();
  return 0;
}

}  // namespace tatara::cli
