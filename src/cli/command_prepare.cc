#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>

#include "commands.h"
#include "json_output.h"
#include "lineage_sink.h"
#include "models_access.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/base/thread_pool.h"
#include "tatara/corpus/prepare.h"
#include "tatara/learn/data.h"
#include "tatara/learn/recipe.h"
#include "tatara/weights/tensor_store.h"
#include "tatara/weights/tokenizer_metadata.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

// A source for each thing that was named, called by its last part.
Result<corpus::PrepareOptions> OfFiles(const PrepareOptions& options) {
  if (options.tokenizer.empty()) {
    return Refuse("--tokenizer is missing; it names a model or a tokenizer.json");
  }
  corpus::PrepareOptions preparation;
  corpus::ReadingOptions reading{.field = options.field,
                                 .question = options.question,
                                 .answer = options.answer,
                                 .sheet = options.sheet};
  TATARA_TRY(reading.form, corpus::RowFormOf(options.format));
  TATARA_TRY(reading.unit, corpus::TextUnitOf(options.unit));
  std::set<std::string> names;
  for (const std::string& input : options.inputs) {
    const fs::path path = fs::path(input).lexically_normal();
    const fs::path named = path.has_filename() ? path : path.parent_path();
    std::string name = named.stem().string();
    for (int n = 2; !names.insert(name).second; ++n) {
      name = fmt::format("{}-{}", named.stem().string(), n);
    }
    preparation.sources.push_back({.name = name, .paths = {input}, .reading = reading});
  }
  std::error_code ignored;
  std::string tokenizer = options.tokenizer;
  if (!fs::exists(tokenizer, ignored)) {
    TATARA_TRY(tokenizer, ResolveModelPath(options.tokenizer));
  }
  TATARA_TRY(const Metadata metadata, weights::ReadTokenizerMetadata(tokenizer));
  TATARA_TRY(preparation.model, corpus::ChatModelOf(metadata));
  if (!options.chat_template.empty()) {
    TATARA_TRY(preparation.model.chat_template,
               ReadWholeFile(options.chat_template, learn::kTemplateBytesMax));
    preparation.model.tokenizer_keys.Set("tokenizer.chat_template",
                                         preparation.model.chat_template);
  }
  return preparation;
}

Result<corpus::PrepareOptions> OfRecipe(const PrepareOptions& options) {
  for (const std::string* one : {&options.tokenizer, &options.chat_template, &options.field,
                                 &options.question, &options.answer, &options.sheet}) {
    if (!one->empty()) return Refuse("a recipe states how its data are read; '{0}' is extra", *one);
  }
  TATARA_TRY(learn::Recipe recipe, learn::ReadRecipe(options.inputs[0], {}));
  // As the training reads them: by the base's tokenizer where the recipe names none.
  std::unique_ptr<weights::TensorStore> base;
  if (!recipe.base.from.empty()) {
    TATARA_RETURN_IF_ERROR(learn::ResolveBase(recipe));
    TATARA_TRY(base, weights::OpenTensorStore(recipe.base.path));
  }
  TATARA_TRY(
      corpus::PrepareOptions preparation,
      learn::PreparationOf(recipe, {.tokenizer = base == nullptr ? nullptr : &base->metadata()}));
  TATARA_TRY(const corpus::FoundFiles found, corpus::FindFiles(preparation));
  TATARA_RETURN_IF_ERROR(learn::LearnVocabulary(recipe, found, preparation));
  return preparation;
}

void Record(const corpus::PrepareReport& report, const std::string& out) {
  const std::string name = fs::path(out).lexically_normal().filename().string();
  LineageEvent event{.kind = "prepare", .name = name};
  const auto fact = [&](const char* key, const Json& value) {
    event.facts.emplace_back(key, value.dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  fact("documents", report.n_documents);
  fact("tokens", report.n_tokens);
  fact("dropped", report.n_dropped());
  for (const corpus::PreparedFile& file : report.files) {
    event.inputs.push_back({"text", file.shown, file.sha256, file.n_bytes});
  }
  event.outputs.push_back({"data", name, report.digest, 0});
  auto manifest =
      FilePart("manifest", name + "/manifest", (fs::path(out) / "manifest.json").string());
  if (manifest.ok()) event.outputs.push_back(std::move(manifest).value());
  RecordLineage(std::move(event));
}

void Tell(const corpus::PrepareReport& report, const std::string& out) {
  Out(Tr("{0}: {1} documents, {2} tokens, {3} of them learned", out, report.n_documents,
         report.n_tokens, report.n_counted) +
      "\n");
  for (int i = 0; i < corpus::kDropReasons; ++i) {
    const std::uint64_t n = report.drops[static_cast<std::size_t>(i)];
    if (n == 0) continue;
    Out(Tr("left out: {0}, {1}; the first: {2}", n,
           Tr(DropReasonText(static_cast<corpus::DropReason>(i))),
           report.first_drops[static_cast<std::size_t>(i)]) +
        "\n");
  }
  if (report.n_dropped() > 0) {
    Out(Tr("each with its place: {0}", (fs::path(out) / "dropped.jsonl").string()) + "\n");
  }
  Out(Tr("digest {0}", report.digest) + "\n");
}

}  // namespace

Result<int> Prepare(const PrepareOptions& options) {
  const bool recipe = options.inputs.size() == 1 && options.inputs[0].ends_with(".toml");
  TATARA_TRY(corpus::PrepareOptions preparation, recipe ? OfRecipe(options) : OfFiles(options));
  InstallInterruptHandler();
  ProgressLine progress(ProgressLine::Unit::kBytes);
  preparation.out = options.out;
  preparation.n_threads =
      options.n_threads == 0 ? ThreadPool::HardwareThreads() : options.n_threads;
  preparation.progress = &progress;
  preparation.stop = &StopRequested();
  TATARA_TRY(const corpus::PrepareReport report, corpus::Prepare(preparation));
  progress.Clear();
  Record(report, options.out);
  if (options.json) {
    Out(report.manifest + "\n");
  } else {
    Tell(report, options.out);
  }
  return 0;
}

}  // namespace tatara::cli
