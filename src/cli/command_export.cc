// export: a model as a Hugging Face folder or a GGUF file, with an adapter merged into it where
// asked for.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "json_output.h"
#include "lineage_sink.h"
#include "models_access.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/learn/checkpoint.h"
#include "tatara/model/row_changer.h"
#include "tatara/text/tokenizer_json.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/gguf_file.h"
#include "tatara/weights/hf_export.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

numerics::DType TypeNamed(const std::string& name) {
  if (name == "f16") return numerics::DType::kF16;
  return name == "bf16" ? numerics::DType::kBF16 : numerics::DType::kF32;
}

// An adapter that is named, or that of a tuned model, which goes into the weights unasked.
Result<std::unique_ptr<model::RowChanger>> MakeChanger(const ModelOptions& options,
                                                       const weights::ResolvedModel& resolved,
                                                       const weights::TensorStore& store,
                                                       ThreadPool& pool) {
  if (options.adapter.empty() && !resolved.adapter.empty()) {
    TATARA_TRY(weights::AdapterFile file, weights::OpenAdapter(resolved.adapter, store.metadata()));
    auto changer = std::make_unique<model::RowChanger>(store, std::move(file), 1.0, pool);
    TATARA_RETURN_IF_ERROR(changer->Check());
    return changer;
  }
  if (options.adapter.empty()) {
    if (options.merge) {
      return Refuse("--merge and --requantise need an adapter; name one with --adapter");
    }
    return std::unique_ptr<model::RowChanger>();
  }
  if (!options.merge) {
    return Refuse("export: an adapter is exported merged only; say so with --merge");
  }
  TATARA_TRY(const generate::AdapterSpec spec, ParseAdapter(options));
  TATARA_TRY(weights::AdapterFile file, weights::OpenAdapter(spec.path, store.metadata()));
  auto changer = std::make_unique<model::RowChanger>(store, std::move(file), spec.scale, pool);
  TATARA_RETURN_IF_ERROR(changer->Check());
  return changer;
}

// Its tensors' file as the ledger knows it: of a PEFT folder, a run (its last checkpoint), a
// checkpoint, or a GGUF file.
fs::path TensorsOf(const fs::path& adapter) {
  const auto steps = learn::ListCheckpoints(adapter);
  const fs::path folder = steps.empty() ? adapter : learn::CheckpointPath(adapter, steps.back());
  std::error_code ignored;
  for (const char* name : {"adapter_model.safetensors", "weights.safetensors"}) {
    if (fs::is_regular_file(folder / name, ignored)) return folder / name;
  }
  return adapter;
}

// What was written, for the ledger: the model and the adapter that went in, the files that came
// out, weights first.
void Record(const ExportOptions& options, const weights::ResolvedModel& resolved,
            std::vector<std::string> files) {
  LineageEvent event{.kind = "export", .name = options.out, .command = {}, .facts = {}};
  event.facts.emplace_back("to", "\"" + options.to + "\"");
  const auto digest = ModelDigest(options.model.model);
  if (!digest.ok()) return;
  const bool tuned = options.model.adapter.empty() && !resolved.adapter.empty();
  const std::string base = resolved.local ? resolved.local->name : resolved.path.string();
  event.inputs.push_back({"model", tuned ? base : options.model.model, *digest, 0});
  if (tuned || !options.model.adapter.empty()) {
    const auto spec = ParseAdapter(options.model);
    if (!tuned && !spec.ok()) return;
    const fs::path path = tuned ? resolved.adapter : fs::path(spec->path);
    auto part = FilePart("adapter", tuned ? options.model.model : spec->path, TensorsOf(path));
    if (part.ok()) event.inputs.push_back(std::move(*part));
    if (!tuned && spec->scale != 1) {
      event.facts.emplace_back("adapter_scale", Json(spec->scale).dump());
    }
  }
  std::ranges::stable_partition(files, [](const std::string& file) {
    return file.ends_with(".safetensors") || file.ends_with(".gguf");
  });
  for (const std::string& file : files) {
    auto part = FilePart("model", file, file);
    if (part.ok()) event.outputs.push_back(std::move(*part));
  }
  RecordLineage(std::move(event));
}

Result<int> ExportAsGguf(const ExportOptions& options, const weights::ResolvedModel& resolved,
                         const weights::TensorStore& store, model::RowChanger* changer) {
  if (options.dtype != "f32") {
    return Refuse("export: --dtype is for --to hf; a GGUF file keeps the type of each tensor");
  }
  ProgressLine progress(ProgressLine::Unit::kBytes);
  weights::GgufExportOptions how{.progress = &progress};
  if (changer != nullptr) {
    how.separate_head = changer->ChangesHead();
    how.is_changed = [&](std::string_view tensor) { return changer->Changes(tensor); };
    how.change_rows = [&](std::string_view tensor, std::int64_t row, std::span<float> rows) {
      return changer->Change(tensor, row, rows);
    };
  }
  TATARA_TRY(const weights::GgufExportReport report, weights::ExportGguf(store, options.out, how));
  Record(options, resolved, {options.out});
  if (options.json) {
    OutJson({{"file", options.out}, {"tensors", report.n_tensors}, {"bytes", report.bytes}});
  } else {
    Out(Tr("{0}: {1} tensors, {2} bytes", options.out, report.n_tensors, report.bytes) + "\n");
  }
  if (!store.metadata().Has("tokenizer.ggml.model")) {
    Remark(Tr(
        "the vocabulary is in the file as tokenizer.json, which this program reads; other readers "
        "of GGUF look for keys that it can not be written in"));
  }
  return 0;
}

}  // namespace

Result<int> Export(const ExportOptions& given) {
  ExportOptions options = given;
  if (options.out.empty()) options.out = options.folder;
  if (options.out.empty()) return Refuse("export: where to? Name a file or folder with --out");
  if (!options.folder.empty() && options.out != options.folder) {
    return Refuse("export: both {0} and {1} are named as what to write", options.folder,
                  options.out);
  }
  TATARA_TRY(const weights::ResolvedModel resolved, ResolveModel(options.model.model));
  TATARA_TRY(const auto store, weights::OpenTensorStore(resolved.path));
  ThreadPool pool(ThreadPool::HardwareThreads());
  TATARA_TRY(const auto changer, MakeChanger(options.model, resolved, *store, pool));
  if (options.to == "gguf") return ExportAsGguf(options, resolved, *store, changer.get());
  ProgressLine progress(ProgressLine::Unit::kBytes);
  weights::HfExportOptions how{.dtype = TypeNamed(options.dtype), .progress = &progress};
  // Vocabularies that have no such form are told below.
  if (auto tokenizer = text::TokenizerJsonOf(store->metadata()); tokenizer.ok()) {
    how.tokenizer_json = std::move(*tokenizer);
  }
  if (changer != nullptr) {
    how.separate_head = changer->ChangesHead();
    how.change_rows = [&](std::string_view tensor, std::int64_t row, std::span<float> rows) {
      return changer->Change(tensor, row, rows);
    };
  }
  TATARA_TRY(const weights::HfExportReport report,
             weights::ExportHuggingFace(*store, options.out, how));
  std::vector<std::string> files;
  for (const std::string& file : report.files) files.push_back(options.out + "/" + file);
  Record(options, resolved, files);
  if (options.json) {
    OutJson({{"folder", options.out},
             {"model_class", report.model_class},
             {"tensors", report.n_tensors},
             {"bytes", report.bytes},
             {"files", report.files},
             {"tokenizer", report.has_tokenizer}});
  } else {
    Out(Tr("{0}: {1}, {2} tensors, {3} bytes", options.out, report.model_class, report.n_tensors,
           report.bytes) +
        "\n");
  }
  if (!report.has_tokenizer) {
    Remark(
        Tr("tokenizer.json is not among the files: this vocabulary cannot be written in that form; "
           "put the published one beside them"));
  }
  return 0;
}

}  // namespace tatara::cli
