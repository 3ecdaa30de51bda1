// The smaller files of a folder: tokenizer, chat template, what generation and
// sentence-transformers say.
#pragma once

#include <filesystem>

#include "huggingface/config.h"
#include "tatara/base/metadata.h"

namespace tatara::weights {

// Vocabularies of 262,144 tokens have about 35 MB.
inline constexpr std::uint64_t kTokenizerBytesMax = 256 << 20;

// Texts of the tokenizer files and ids of the special tokens; absent files leave no key.
Result<> ReadTokenizerFiles(const std::filesystem::path& folder, const Config& config,
                            Metadata& metadata);
// Pooling and length of sentence embeddings, where modules.json is there; refuses modules and
// poolings that are not computed.
Result<> ReadSentenceFiles(const std::filesystem::path& folder, std::string_view architecture,
                           Metadata& metadata);
// To which lengths vectors may be cut, where the model gives vectors: "matryoshka_dimensions" and
// "is_matryoshka" of config.json, which have no other home.
Result<> ReadVectorSizes(const Config& config, std::string_view architecture, Metadata& metadata);

}  // namespace tatara::weights
