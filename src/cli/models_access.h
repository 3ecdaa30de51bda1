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

namespace tatara::cli {

// Catalogue name, local name or any path -> the file.
Result<std::string> ResolveModelPath(const std::string& model);

// SHA-256 of the model's file: as verified when it was pulled, else computed (and remembered).
Result<std::string> ModelDigest(const std::string& model);

// The local name of the model whose file has this SHA-256; kNotFound with what to do about it.
Result<std::string> FindModelByDigest(const std::string& sha256);

// What --adapter says: "PATH" or "PATH:SCALE", as an adapter of that name (its path where none).
Result<generate::AdapterSpec> ParseAdapter(const ModelOptions& options);

// The name under which requests use the hot adapter of these options; empty where there is none.
std::string HotAdapterName(const ModelOptions& options, const generate::Engine& engine);

// With progress on standard error while it loads. `extra` sets what the command needs besides.
Result<std::unique_ptr<generate::Engine>> OpenEngine(const ModelOptions& options,
                                                     generate::EngineOptions extra = {});

// The same for an embedding model or a cross-encoder.
Result<std::unique_ptr<generate::Embedder>> OpenEmbedder(const EmbedderModelOptions& options,
                                                         bool tokenizer_optional = false);

// The model that `ask` takes where none is named: the best for both languages that is on this
// machine; refused with the pull command where there is none.
Result<std::string> DefaultAskModel();

// Says once a command, on standard error, that a text is not valid UTF-8.
void RemarkBrokenText(std::string_view text);
// A file's content, or standard input for "-".
Result<std::string> ReadInput(const std::string& name);
// Lines of standard input, RemarkBrokenText done, without their ends (LF, CR LF), handed over some
// at a time; a line may be empty. Refused where one is longer than kLineBytesMax.
Result<> ForLinesOfInput(const std::function<Result<>(std::span<const std::string>)>& some);
inline constexpr std::size_t kLineBytesMax = 16U << 20;
inline constexpr std::uint64_t kInputBytesMax = 64ull << 20;

}  // namespace tatara::cli
