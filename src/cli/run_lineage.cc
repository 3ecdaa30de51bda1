#include "run_lineage.h"

#include <algorithm>

#include "json_output.h"
#include "lineage_sink.h"
#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/localise.h"
#include "tatara/base/sha256.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/learn/run_folder.h"
#include "tatara/ledger/lineage.h"
#include "tatara/ledger/object_store.h"
#include "tatara/numerics/isa.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFilesMax = 100'000;

std::string RoleOf(const fs::path& relative) {
  const std::string file = relative.filename().string();
  if (file == "weights.safetensors") return "weights";
  if (file == "optimizer.safetensors") return "optimizer";
  if (file == "metrics.jsonl") return "metrics";
  if (file == "data.json") return "manifest";
  if (file == "recipe.json" || file == "source.json") return "recipe";
  if (relative.begin() != relative.end() && *relative.begin() == "samples") return "sample";
  return "file";
}

// A text kept as an object, as a part.
LineagePart ObjectPart(const std::string& role, const std::string& name, const std::string& text) {
  const ledger::ObjectStore objects(ledger::LedgerFolder(TataraHome()));
  const auto kept = objects.Put(text);
  if (!kept.ok()) {
    Remark(Tr("not recorded in the ledger: {0}", kept.error().text(CurrentLanguage())));
  }
  return {role, name, Sha256Hex(text), text.size()};
}

// Every {"sha256": …} of a manifest, wherever it stands, with the name and size beside it.
void AddInputs(const Json& json, const std::string& fallback, const std::string& data_digest,
               std::vector<LineagePart>& parts) {
  if (json.is_array()) {
    for (const Json& one : json) AddInputs(one, fallback, data_digest, parts);
  }
  if (!json.is_object()) return;
  const auto digest = json.find("sha256");
  if (digest != json.end() && digest->is_string() &&
      ledger::IsDigestText(digest->get_ref<const std::string&>()) && *digest != data_digest) {
    LineagePart part{.role = "text", .name = fallback, .sha256 = digest->get<std::string>()};
    for (const char* key : {"name", "path", "file", "text"}) {
      if (json.contains(key) && json[key].is_string()) part.name = json[key].get<std::string>();
    }
    if (json.contains("bytes") && json["bytes"].is_number_unsigned()) {
      part.bytes = json["bytes"].get<std::uint64_t>();
    }
    const bool is_there = std::ranges::any_of(
        parts, [&](const LineagePart& other) { return other.sha256 == part.sha256; });
    if (!is_there) parts.push_back(std::move(part));
  }
  for (const auto& [key, value] : json.items()) AddInputs(value, fallback, data_digest, parts);
}

// What the data was made from, once for each digest.
void RecordData(const learn::RunFolder& run, const std::string& data_digest) {
  const auto graph = ledger::LineageGraph::Read(TataraHome());
  if (graph.ok() && graph->MakerOf(data_digest) != nullptr) return;
  LineageEvent event{.kind = "prepare", .name = run.recipe.name + "/data"};
  const Json manifest = JsonNestsTooDeeply(run.data_manifest)
                            ? Json()
                            : Json::parse(run.data_manifest, nullptr, /*allow_exceptions=*/false);
  AddInputs(manifest, run.recipe.data.text, data_digest, event.inputs);
  event.outputs.push_back({"data", event.name, data_digest, 0});
  event.outputs.push_back(ObjectPart("manifest", event.name + "/manifest", run.data_manifest));
  RecordLineage(std::move(event));
}

Result<LineageEvent> TrainingEvent(const RunCall& call, const learn::RunResult& result,
                                   const learn::RunFolder& run) {
  LineageEvent event{.kind = "train", .name = result.name};
  std::error_code ignored;
  const auto fact = [&](const char* name, const Json& value) {
    event.facts.emplace_back(name, value.dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  fact("folder", fs::weakly_canonical(call.folder, ignored).string());
  fact("finished", result.finished);
  fact("steps", result.steps);
  fact("weights", result.digest);
  if (result.training_loss) fact("training_loss", *result.training_loss);
  if (result.validation_loss) fact("validation_loss", *result.validation_loss);
  if (result.best_step > 0) {
    fact("best_step", result.best_step);
    fact("best_validation_loss", result.best_validation_loss);
  }
  fact("parameters", result.n_parameters);
  fact("flops_per_step", result.flops_per_step);
  fact("seconds", result.seconds);
  fact("isa", numerics::IsaName(numerics::ActiveIsa()));
  fact("threads", call.n_threads);
  if (call.n_workers > 1) fact("workers", call.n_workers);
  if (call.resumed_from > 0) fact("resumed_from", call.resumed_from);
  event.inputs = {ObjectPart("recipe", result.name + "/recipe", run.canonical_recipe),
                  ObjectPart("recipe text", result.name + ".toml", run.recipe.text),
                  {"data", result.name + "/data", result.data_digest, 0}};
  if (learn::Recipe recipe = run.recipe; !recipe.base.from.empty()) {
    TATARA_RETURN_IF_ERROR(learn::ResolveBase(recipe));
    event.inputs.push_back({"base", recipe.base.from, recipe.base.sha256, 0});
  }
  TATARA_TRY(event.outputs, RunParts(call.folder, result.name));
  return event;
}

}  // namespace

Result<std::vector<fs::path>> RunFiles(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.') || (it.depth() == 0 && name == "lock")) {
      it.disable_recursion_pending();
      continue;
    }
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    if (files.size() >= kFilesMax) {
      return Refuse("{0}: more than {1} files", folder.string(), kFilesMax);
    }
    files.push_back(it->path().lexically_relative(folder));
  }
  if (error) {
    return MakeError(ErrorKind::kIo, "{0}: cannot read: {1}", folder.string(), error.message());
  }
  std::ranges::sort(files);
  return files;
}

Result<std::vector<LineagePart>> RunParts(const fs::path& folder, const std::string& name) {
  TATARA_TRY(const std::vector<fs::path> files, RunFiles(folder));
  const auto checkpoints = learn::ListCheckpoints(folder);
  const fs::path last = checkpoints.empty() ? fs::path()
                                            : learn::CheckpointPath(folder, checkpoints.back()) /
                                                  "weights.safetensors";
  std::vector<LineagePart> parts;
  for (const fs::path& file : files) {
    TATARA_TRY(LineagePart part,
               FilePart(RoleOf(file), name + "/" + file.generic_string(), folder / file));
    parts.insert(folder / file == last ? parts.begin() : parts.end(), std::move(part));
  }
  return parts;
}

void RecordTraining(const RunCall& call, const learn::RunResult& result) {
  const auto run = learn::ReadRunFolder(call.folder);
  if (!run.ok()) {
    return Remark(Tr("not recorded in the ledger: {0}", run.error().text(CurrentLanguage())));
  }
  RecordData(*run, result.data_digest);
  auto event = TrainingEvent(call, result, *run);
  if (!event.ok()) {
    return Remark(Tr("not recorded in the ledger: {0}", event.error().text(CurrentLanguage())));
  }
  RecordLineage(std::move(*event));
}

}  // namespace tatara::cli
