#include "models_access.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/utf8.h"
#include "tatara/text/encoding.h"
#include "tatara/weights/model_store.h"
#include "terminal.h"

namespace tatara::cli {

namespace {

// Names of models first; then of runs, which lie under runs/ in the working folder.
Result<weights::ResolvedModel> ResolveIn(const weights::ModelStore& store,
                                         const std::string& model) {
  auto resolved = store.Resolve(model);
  if (resolved.ok() || resolved.error().kind() != ErrorKind::kNotFound ||
      model.find('/') != model.npos) {
    return resolved;
  }
  auto run = store.Resolve("runs/" + model);
  return run.ok() ? run : resolved;
}

// What a tuned model stands on has to be what it was made from.
Result<> CheckBase(const weights::ResolvedModel& model) {
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  ProgressLine progress(ProgressLine::Unit::kBytes);
  TATARA_TRY(const std::string found, store.DigestOf(model, &progress, &StopRequested()));
  if (found == model.base_sha256) return Ok{};
  return Refuse("{0} was made from a model with SHA-256 {1}; {2} has {3}", model.name,
                model.base_sha256, model.path.string(), found);
}

}  // namespace

Result<weights::ResolvedModel> ResolveModel(const std::string& model) {
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  return ResolveIn(store, model);
}

Result<std::string> ResolveModelPath(const std::string& model) {
  TATARA_TRY(const auto resolved, ResolveModel(model));
  return resolved.path.string();
}

Result<std::string> ModelDigest(const std::string& model) {
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  TATARA_TRY(const auto resolved, ResolveIn(store, model));
  ProgressLine progress(ProgressLine::Unit::kBytes);
  return store.DigestOf(resolved, &progress, &StopRequested());
}

Result<std::string> FindModelByDigest(const std::string& sha256) {
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  TATARA_TRY(const auto listings, store.List());
  for (const weights::ModelListing& listing : listings) {
    if (listing.local && listing.local->sha256() == sha256) return listing.name;
  }
  for (const weights::ModelListing& listing : listings) {
    if (listing.catalogue && listing.catalogue->files.front().sha256 == sha256) {
      return MakeError(ErrorKind::kNotFound,
                       "the model {0} is not on this machine; fetch it with: tatara pull {0}",
                       listing.name);
    }
  }
  return MakeError(ErrorKind::kNotFound,
                   "no model with SHA-256 {0} on this machine; name its file with --model", sha256);
}

Result<generate::AdapterSpec> ParseAdapter(const ModelOptions& options) {
  const std::string& text = options.adapter;
  generate::AdapterSpec adapter{.path = text, .requantise = options.requantise};
  const std::size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon != std::string::npos && !std::filesystem::exists(text, ignored)) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, adapter.scale);
    if (error != std::errc() || stop != end) {
      return Refuse("--adapter {0}: the scale '{1}' is no number", text, text.substr(colon + 1));
    }
    adapter.path = text.substr(0, colon);
  }
  adapter.name = options.adapter_name.empty() ? adapter.path : options.adapter_name;
  return adapter;
}

std::string HotAdapterName(const ModelOptions& options, const generate::Engine& engine) {
  const auto adapters = engine.adapters();
  return options.merge || adapters.empty() ? std::string() : adapters.front().name;
}

Result<std::string> DefaultAskModel() {
  constexpr std::array<const char*, 2> kPreferred = {"qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"};
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  for (const char* name : kPreferred) {
    if (store.Resolve(name).ok()) return std::string(name);
  }
  TATARA_TRY(const auto listings, store.List());
  for (const weights::ModelListing& listing : listings) {
    if (listing.local && listing.catalogue && listing.catalogue->kind == "chat")
      return listing.name;
  }
  return MakeError(ErrorKind::kNotFound,
                   "no model that can answer is on this machine; fetch one with: tatara pull {0}",
                   kPreferred[0]);
}

Result<std::unique_ptr<generate::Engine>> OpenEngine(const ModelOptions& options,
                                                     generate::EngineOptions extra,
                                                     TunedForm tuned) {
  TATARA_TRY(const weights::ResolvedModel model, ResolveModel(options.model));
  const std::string path = model.path.string();
  ProgressLine progress(ProgressLine::Unit::kBytes);
  extra.n_threads = options.n_threads;
  extra.f32_activations = options.activations == "f32";
  if (options.context_tokens != 0) extra.context_tokens = options.context_tokens;
  extra.progress = &progress;
  if (options.adapter.empty() && !model.adapter.empty()) {
    TATARA_RETURN_IF_ERROR(CheckBase(model));
    const generate::AdapterSpec adapter{
        .name = model.name, .path = model.adapter.string(), .requantise = options.requantise};
    if (options.merge || tuned == TunedForm::kMerged) {
      extra.merge = adapter;
      return generate::Engine::Open(path, extra);
    }
    TATARA_TRY(auto engine, generate::Engine::Open(path, extra));
    TATARA_TRY([[maybe_unused]] const auto facts, engine->AddAdapter(adapter));
    return engine;
  }
  if (options.adapter.empty()) {
    if (options.merge || options.requantise) {
      return Refuse("--merge and --requantise need an adapter; name one with --adapter");
    }
    return generate::Engine::Open(path, extra);
  }
  TATARA_TRY(generate::AdapterSpec adapter, ParseAdapter(options));
  if (options.merge) {
    extra.merge = adapter;
    return generate::Engine::Open(path, extra);
  }
  if (options.requantise)
    return Refuse("--requantise needs --merge: a hot adapter changes no weight");
  TATARA_TRY(auto engine, generate::Engine::Open(path, extra));
  TATARA_TRY([[maybe_unused]] const auto facts, engine->AddAdapter(adapter));
  return engine;
}

Result<std::unique_ptr<generate::Embedder>> OpenEmbedder(const EmbedderModelOptions& options,
                                                         bool tokenizer_optional) {
  TATARA_TRY(const std::string path, ResolveModelPath(options.model));
  ProgressLine progress(ProgressLine::Unit::kBytes);
  return generate::Embedder::Open(path, {.n_threads = options.n_threads,
                                         .f32_activations = options.activations == "f32",
                                         .tokenizer_optional = tokenizer_optional,
                                         .progress = &progress});
}

void RemarkBrokenText(std::string_view text) {
  static bool said = false;
  if (said || !text::FirstInvalidUtf8(text)) return;
  said = true;
  Remark(
      Tr("the input is not valid UTF-8 throughout; what is broken is read as U+FFFD, or byte by "
         "byte where the model's vocabulary can"));
}

void RemarkUnknownCharacters(const text::Tokenizer& tokenizer, std::string_view text) {
  constexpr std::size_t kBytesMax = 1U << 20, kNamedMax = 16;
  std::set<std::string, std::less<>> known;
  std::vector<std::string> lost;
  text = text.substr(0, kBytesMax);
  for (std::size_t at = 0; at < text.size() && lost.size() < kNamedMax;) {
    const std::size_t length = ReadUtf8(text.substr(at)).length;
    const std::string_view character = text.substr(at, length);
    at += length;
    if (!known.emplace(character).second) continue;
    if (tokenizer.Encode(character, {}).empty()) lost.push_back(Printable(character));
  }
  if (lost.empty()) return;
  std::string list;
  for (const std::string& one : lost) list += (list.empty() ? "" : " ") + one;
  Remark(Tr("the model has no token for these characters; they are left out: {0}", list));
}

Result<> ForLinesOfInput(const std::function<Result<>(std::span<const std::string>)>& some) {
  constexpr std::size_t kLinesAtOnce = 256, kBytesAtOnce = 1U << 20;
  std::vector<std::string> lines;
  std::string line;
  std::size_t n_bytes = 0;
  const auto hand_over = [&]() -> Result<> {
    if (lines.empty() || StopRequested().IsSet()) return Ok{};
    TATARA_RETURN_IF_ERROR(some(lines));
    lines.clear();
    n_bytes = 0;
    return Ok{};
  };
  const auto end_line = [&] {
    if (line.ends_with('\r')) line.pop_back();
    RemarkBrokenText(line);
    n_bytes += line.size();
    lines.push_back(std::move(line));
    line.clear();
  };
  std::array<char, 1 << 16> block;
  while (const std::size_t n = std::fread(block.data(), 1, block.size(), stdin)) {
    for (const char c : std::span(block).first(n)) {
      if (c != '\n') {
        line += c;
        continue;
      }
      end_line();
      if (lines.size() >= kLinesAtOnce || n_bytes >= kBytesAtOnce) {
        TATARA_RETURN_IF_ERROR(hand_over());
      }
    }
    if (line.size() > kLineBytesMax) {
      return Refuse("standard input: a line is longer than {0} bytes", kLineBytesMax);
    }
    if (StopRequested().IsSet()) return Ok{};
  }
  if (std::ferror(stdin)) return ErrnoError("{0}: cannot read: {1}", "standard input");
  if (!line.empty()) end_line();
  return hand_over();
}

Result<std::string> ReadInput(const std::string& name) {
  if (name != "-") return ReadWholeFile(name, kInputBytesMax);
  std::string text;
  std::array<char, 1 << 16> block;
  while (const std::size_t n = std::fread(block.data(), 1, block.size(), stdin)) {
    text.append(block.data(), n);
    if (text.size() > kInputBytesMax) {
      return Refuse("{0}: larger than {1} bytes, the most that is read here", "standard input",
                    kInputBytesMax);
    }
  }
  if (std::ferror(stdin)) return ErrnoError("{0}: cannot read: {1}", "standard input");
  return text;
}

}  // namespace tatara::cli
