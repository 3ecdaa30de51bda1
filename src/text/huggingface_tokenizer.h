// A tokenizer from the text of a tokenizer.json (metadata key `tokenizer.huggingface.json`), as
// Hugging Face's tokenizers 0.23 reads it. Beside it, where they are there: tokenizer_config.json
// (`tokenizer.huggingface.config`: which tokens start and end, and whether they are added) and
// generation_config.json (`tokenizer.huggingface.generation`: which ids end an answer). Truncation
// and padding are off. Everything is untrusted: sizes are bounded, and what this program does not
// know is refused with its place. Thread safety: pure function.
#pragma once

#include <memory>

#include "tatara/base/metadata.h"
#include "tatara/text/tokenizer.h"

namespace tatara::text {

inline constexpr std::string_view kHuggingFaceKey = "tokenizer.huggingface.json";
inline constexpr std::size_t kTokenizerJsonBytesMax = std::size_t{1} << 27;

Result<std::unique_ptr<Tokenizer>> MakeHuggingFaceTokenizer(const Metadata& metadata);

}  // namespace tatara::text
