// Tokenizers from `tokenizer.ggml.*` keys, by the kind in `tokenizer.ggml.model`: byte-level and
// character-level BPE ("gpt2", "gemma4"), WordPiece ("bert"), unigram ("t5"). "llama" is
// sentencepiece_bpe_tokenizer.h. Thread safety: pure functions.
#pragma once

#include <memory>

#include "tatara/base/metadata.h"
#include "tatara/text/tokenizer.h"

namespace tatara::text {

Result<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const Metadata& metadata);
Result<std::unique_ptr<Tokenizer>> MakeGemma4Tokenizer(const Metadata& metadata);
Result<std::unique_ptr<Tokenizer>> MakeWordPieceTokenizer(const Metadata& metadata);
Result<std::unique_ptr<Tokenizer>> MakeUnigramTokenizer(const Metadata& metadata);

}  // namespace tatara::text
