// A GGUF vocabulary as tokenizer.json, the form in which Hugging Face publishes tokenizers.
// Thread safety: free function.
#pragma once

#include <string>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"

namespace tatara::text {

// Byte-level BPE vocabularies (tokenizer.ggml.model "gpt2") and unigram ones ("t5") without a map
// of characters whose spaces are kept and prefixed: the same ids for the same texts. Others are
// refused: what GGUF keeps of SentencePiece's pairs lacks the merges that tokenizer.json wants.
Result<std::string> TokenizerJsonOf(const Metadata& metadata);

}  // namespace tatara::text
