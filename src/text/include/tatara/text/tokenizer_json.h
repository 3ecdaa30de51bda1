// A GGUF vocabulary as tokenizer.json, the form in which Hugging Face publishes tokenizers.
// Thread safety: free function.
#pragma once

#include <string>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::text {

// Byte-level BPE vocabularies (tokenizer.ggml.model "gpt2"): the same ids for the same texts.
// Others are refused: what GGUF keeps of SentencePiece lacks the merges that tokenizer.json wants.
Result<std::string> TokenizerJsonOf(const Metadata& metadata);

}  // namespace tatara::text
