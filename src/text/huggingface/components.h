// The components of a tokenizer.json, read into the parts of a pipeline. What a component says that
// this program does not do is refused, naming its place. Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bpe_model.h"
#include "huggingface/json_place.h"
#include "normalizer.h"
#include "pipeline_tokenizer.h"
#include "pre_tokenizer.h"

namespace tatara::text::huggingface {

inline constexpr int kNestingMax = 8;  // of Sequence components

Result<> ReadNormalizer(const JsonPlace& place, Normalizer& normalizer, int depth = 0);

// `over_bytes` becomes true where the last step is ByteLevel, whose alphabet the model then knows.
Result<> ReadPreTokenizer(const JsonPlace& place, PreTokenizer& pre_tokenizer, bool& over_bytes);

// What stands around texts; nothing where the post-processor adds nothing.
Result<std::optional<PipelineTokenizer::Surroundings>> ReadPostProcessor(
    const JsonPlace& place, const Vocabulary& vocabulary);

Result<> ReadDecoder(const JsonPlace& place, PipelineTokenizer::Writing& writing, int depth = 0);

// The tokens of a file before its model exists.
struct Tokens {
  std::vector<std::string> texts;
  std::vector<std::int64_t> types;
  std::vector<double> scores;  // unigram
  std::string unknown;         // empty where there is none
};
Result<Tokens> ReadTokens(const JsonPlace& model);

Result<std::unique_ptr<TextModel>> ReadModel(const JsonPlace& model, const Vocabulary& vocabulary,
                                             const Tokens& tokens, bool over_bytes);

}  // namespace tatara::text::huggingface
