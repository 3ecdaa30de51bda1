// From what the user typed to an opened model.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "options.h"
#include "tatara/base/error.h"
#include "tatara/generate/embedder.h"
#include "tatara/generate/engine.h"
#include "tatara/text/tokenizer.h"
#include "tatara/weights/model_store.h"

namespace tatara::cli {

// Catalogue name, local name, a run's name or any path.
Result<weights::ResolvedModel> ResolveModel(const std::string& model);

// Likewise -> the file; of a tuned model that of its base.
Result<std::string> ResolveModelPath(const std::string& model);

// SHA-256 of the model's file: as verified when it was pulled, else computed (and remembered).
Result<std::string> ModelDigest(const std::string& model);

// The local name of the model whose file has this SHA-256; kNotFound with what to do about it.
Result<std::string> FindModelByDigest(const std::string& sha256);

// What --adapter says: "PATH" or "PATH:SCALE", as an adapter of that name (its path where none).
Result<generate::AdapterSpec> ParseAdapter(const ModelOptions& options);

// The name under which requests use the hot adapter of these options; empty where there is none.
std::string HotAdapterName(const ModelOptions& options, const generate::Engine& engine);

// How the adapter of a tuned model is taken where none is named: kHot where requests name it
// (HotAdapterName), kMerged where they do not.
enum class TunedForm { kHot, kMerged };

// With progress on standard error while it loads. `extra` sets what the command needs besides.
Result<std::unique_ptr<generate::Engine>> OpenEngine(const ModelOptions& options,
                                                     generate::EngineOptions extra = {},
                                                     TunedForm tuned = TunedForm::kHot);

// The same for an embedding model or a cross-encoder.
Result<std::unique_ptr<generate::Embedder>> OpenEmbedder(const EmbedderModelOptions& options,
                                                         bool tokenizer_optional = false);

// The model that `ask` takes where none is named: the best for both languages that is on this
// machine; refused with the pull command where there is none.
Result<std::string> DefaultAskModel();

// Says once a command, on standard error, that a text is not valid UTF-8.
void RemarkBrokenText(std::string_view text);
// Says, on standard error, which characters of a text the model has no token for, not even for
// their bytes (a model of characters): they are left out.
void RemarkUnknownCharacters(const text::Tokenizer& tokenizer, std::string_view text);
// A file's content, or standard input for "-".
Result<std::string> ReadInput(const std::string& name);
// Lines of standard input, RemarkBrokenText done, without their ends (LF, CR LF), handed over some
// at a time; a line may be empty. Refused where one is longer than kLineBytesMax.
Result<> ForLinesOfInput(const std::function<Result<>(std::span<const std::string>)>& some);
inline constexpr std::size_t kLineBytesMax = 16U << 20;
inline constexpr std::uint64_t kInputBytesMax = 64ull << 20;

}  // namespace tatara::cli
