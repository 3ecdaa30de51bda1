// What both ways of training share: checks of the options, and the result in its two forms.
// Thread safety: free functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/metadata.h"
#include "tatara/corpus/tokenizer_training.h"
#include "tokenizer_words.h"

namespace tatara::corpus {

// GGUF's numbers, tokenizer.ggml.token_type.
inline constexpr std::int64_t kNormalToken = 1, kUnknownToken = 2, kControlToken = 3,
                              kByteToken = 6;

Result<> CheckTraining(const TokenizerTraining& options);

// The ids of the start and end tokens, where there are such.
void SetSpecialIds(const TokenizerTraining& options, Metadata& gguf);

// `gguf` has all keys.
Result<TrainedTokenizer> FinishTokenizer(Metadata gguf, const WordCounts& words);

Error VocabularyTooSmall(int vocabulary, std::size_t needed, std::size_t n_special);

}  // namespace tatara::corpus
