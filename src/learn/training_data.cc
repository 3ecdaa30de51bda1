#include "training_data.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "tatara/base/files.h"
#include "tatara/corpus/char_text.h"
#include "tatara/corpus/mixture.h"
#include "tatara/corpus/packed_set.h"
#include "tatara/corpus/row_texts.h"
#include "tatara/corpus/tokenizer_training.h"
#include "tatara/weights/model_store.h"
#include "tatara/weights/tokenizer_metadata.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> Find(const Recipe& recipe, const std::string& name) {
  std::error_code ignored;
  const fs::path beside = recipe.folder / name;
  if (fs::exists(beside, ignored)) return beside;
  const char* data = std::getenv("TATARA_TEST_DATA");
  if (data != nullptr && *data != '\0') {
    const fs::path there = fs::path(data) / name;
    if (fs::exists(there, ignored)) return there;
  }
  return std::nullopt;
}

// A file, or a model on this machine.
Result<Metadata> ReadTokenizer(const Recipe& recipe, const DataOptions& options) {
  const std::string& name = recipe.data.tokenizer;
  if (name.empty()) {
    if (options.tokenizer != nullptr) return *options.tokenizer;
    return Refuse("recipe '{0}': data.tokenizer is missing; it names a model or a tokenizer.json",
                  recipe.name);
  }
  if (const auto found = Find(recipe, name)) return weights::ReadTokenizerMetadata(*found);
  TATARA_TRY(const auto store, weights::ModelStore::Open());
  TATARA_TRY(const auto resolved, store.Resolve(name));
  return weights::ReadTokenizerMetadata(resolved.path);
}

Result<> CheckDigests(const Recipe& recipe, const corpus::FoundFiles& found) {
  for (const corpus::PreparedFile& file : found.files) {
    const std::string& stated = recipe.data.sources[file.source].sha256;
    if (stated.empty() || stated == file.sha256) continue;
    return Refuse("{0}: SHA-256 is {1}, the recipe states {2}", file.path.string(), file.sha256,
                  stated);
  }
  return Ok{};
}

using Store = std::shared_ptr<const corpus::TokenStore>;

Result<Store> OpenCached(const Recipe& recipe, const DataOptions& options) {
  TATARA_TRY(corpus::PrepareOptions preparation, PreparationOf(recipe, options));
  TATARA_TRY(corpus::FoundFiles found, corpus::FindFiles(preparation));
  TATARA_RETURN_IF_ERROR(CheckDigests(recipe, found));
  const fs::path cache = options.cache.empty() ? TataraHome() / "prepared" : options.cache;
  preparation.out = cache / corpus::PreparationKey(preparation, found);
  std::error_code ignored;
  if (!fs::exists(preparation.out, ignored)) {
    TATARA_RETURN_IF_ERROR(LearnVocabulary(recipe, found, preparation));
    const auto prepared = corpus::Prepare(preparation, std::move(found));
    // Another process may have been first.
    if (!prepared.ok() && !fs::exists(preparation.out, ignored)) return prepared.error();
  }
  return corpus::OpenPrepared(preparation.out);
}

corpus::PackedSetOptions Packing(const DataRecipe& data, int source) {
  const bool whole = data.packing.empty() ? data.kind == "chat" : data.packing == "whole";
  return {.packing = whole ? corpus::Packing::kWhole : corpus::Packing::kStream,
          .validation_fraction = data.validation,
          .source = source};
}

Result<std::unique_ptr<corpus::TrainingSet>> Mix(const Recipe& recipe, const Store& store) {
  const DataRecipe& data = recipe.data;
  std::vector<corpus::MixtureSource> sources;
  corpus::MixturePhase first;
  for (const DataSource& source : data.sources) {
    const auto named = std::ranges::find(store->source_names, source.name);
    if (named == store->source_names.end()) {
      return Refuse("recipe '{0}': the prepared set has no source '{1}'", recipe.name, source.name);
    }
    const auto place = static_cast<int>(named - store->source_names.begin());
    TATARA_TRY(std::shared_ptr<const corpus::TrainingSet> set,
               corpus::PackedSet::Make(store, Packing(data, place)));
    sources.push_back({source.name, std::move(set)});
    first.weights.push_back(source.weight);
  }
  // Where only phases weigh, the sources begin as equals.
  const bool equal = std::ranges::all_of(first.weights, [](double weight) { return weight == 0; });
  if (equal) std::ranges::fill(first.weights, 1.0);
  std::vector<corpus::MixturePhase> phases = {std::move(first)};
  for (const DataPhase& phase : data.phases) {
    phases.push_back({static_cast<std::uint64_t>(phase.from_step) *
                          static_cast<std::uint64_t>(recipe.training.batch),
                      phase.weights});
  }
  TATARA_TRY(auto mixture, corpus::Mixture::Make(std::move(sources), phases));
  return Result<std::unique_ptr<corpus::TrainingSet>>(std::move(mixture));
}

}  // namespace

Result<fs::path> FindNamed(const Recipe& recipe, const std::string& name,
                           const std::string& source) {
  if (const auto found = Find(recipe, name)) return *found;
  if (source.empty()) {
    return MakeError(ErrorKind::kNotFound,
                     "recipe '{0}': '{1}' is neither beside the recipe nor under "
                     "TATARA_TEST_DATA; the recipe does not say where to get it",
                     recipe.name, name);
  }
  return MakeError(ErrorKind::kNotFound,
                   "recipe '{0}': '{1}' is neither beside the recipe nor under "
                   "TATARA_TEST_DATA; where to get it: {2}",
                   recipe.name, name, source);
}

Result<corpus::PrepareOptions> PreparationOf(const Recipe& recipe, const DataOptions& options) {
  const DataRecipe& data = recipe.data;
  if (data.kind != "text" && data.kind != "chat") {
    return Refuse("recipe '{0}': data of kind '{1}' are used as they are; nothing is prepared",
                  recipe.name, data.kind);
  }
  corpus::PrepareOptions preparation{
      .n_threads = options.n_threads, .progress = options.progress, .stop = options.stop};
  for (const DataSource& source : data.sources) {
    TATARA_TRY(const fs::path path, FindNamed(recipe, source.path, source.source));
    TATARA_TRY(const corpus::RowForm form, corpus::RowFormOf(source.format));
    TATARA_TRY(const corpus::TextUnit unit, corpus::TextUnitOf(source.unit));
    preparation.sources.push_back({.name = source.name,
                                   .paths = {path},
                                   .reading = {.form = form,
                                               .unit = unit,
                                               .field = source.field,
                                               .question = source.question,
                                               .answer = source.answer,
                                               .sheet = source.sheet}});
  }
  if (data.vocabulary.size > 0) {
    // For the set's key: the settings decide the vocabulary, together with the files.
    const VocabularyRecipe& v = data.vocabulary;
    preparation.model.tokenizer_keys.Set(
        "tokenizer.learned", fmt::format("{} {} {} {}", v.kind, v.size, v.pre, v.min_frequency));
    return preparation;
  }
  TATARA_TRY(const Metadata metadata, ReadTokenizer(recipe, options));
  TATARA_TRY(preparation.model, corpus::ChatModelOf(metadata));
  if (!data.chat_template.empty()) {
    TATARA_TRY(const fs::path path, FindNamed(recipe, data.chat_template, ""));
    TATARA_TRY(preparation.model.chat_template, ReadWholeFile(path, kTemplateBytesMax));
    preparation.model.tokenizer_keys.Set("tokenizer.chat_template",
                                         preparation.model.chat_template);
  }
  return preparation;
}

Result<> LearnVocabulary(const Recipe& recipe, const corpus::FoundFiles& found,
                         corpus::PrepareOptions& preparation) {
  const VocabularyRecipe& v = recipe.data.vocabulary;
  if (v.size == 0) return Ok{};
  const auto texts = corpus::TextsOf(preparation, found);
  const corpus::TokenizerTraining common{.vocabulary = v.size,
                                         .special = {"<|endoftext|>"},
                                         .end = "<|endoftext|>",
                                         .n_threads = preparation.n_threads,
                                         .progress = preparation.progress,
                                         .stop = preparation.stop};
  corpus::TrainedTokenizer learned;
  if (v.kind == "bpe") {
    TATARA_TRY(learned, corpus::TrainBpe(*texts, {common, v.pre, v.min_frequency}));
  } else {
    TATARA_TRY(learned, corpus::TrainUnigram(*texts, {common}));
  }
  TATARA_TRY(preparation.model, corpus::ChatModelOf(learned.gguf));
  return Ok{};
}

Result<std::unique_ptr<corpus::TrainingSet>> OpenTrainingSet(const Recipe& recipe,
                                                             const DataOptions& options) {
  const DataRecipe& data = recipe.data;
  if (data.kind == "stated") {
    return MakeError(ErrorKind::kNotFound,
                     "recipe '{0}': its data is only stated ({1}); it can be estimated, not run",
                     recipe.name, data.source);
  }
  if (data.kind == "char") {
    TATARA_TRY(const fs::path path, FindNamed(recipe, data.text, data.source));
    TATARA_TRY(corpus::CharText text,
               corpus::CharText::Read(
                   {.path = path, .sha256 = data.sha256, .validation_fraction = data.validation}));
    return std::make_unique<corpus::CharText>(std::move(text));
  }
  Store store;
  if (data.kind == "prepared") {
    TATARA_TRY(const fs::path path, FindNamed(recipe, data.set, data.source));
    TATARA_TRY(store, corpus::OpenPrepared(path));
  } else {
    TATARA_TRY(store, OpenCached(recipe, options));
  }
  const bool weighted =
      !data.phases.empty() ||
      std::ranges::any_of(data.sources, [](const DataSource& source) { return source.weight > 0; });
  if (weighted) return Mix(recipe, store);
  TATARA_TRY(auto set, corpus::PackedSet::Make(store, Packing(data, -1)));
  return Result<std::unique_ptr<corpus::TrainingSet>>(std::move(set));
}

}  // namespace tatara::learn
