#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "tatara/base/utf8.h"
#include "tatara/corpus/tokenizer_training.h"
#include "tatara/text/byte_alphabet.h"
#include "tokenizer_merges.h"
#include "tokenizer_vocabulary.h"

namespace tatara::corpus {
namespace {

// Short names that people use.
std::string SplitName(const std::string& pre) {
  if (pre == "gpt2") return "gpt-2";
  if (pre == "llama-3") return "llama3";
  return pre;
}

// The special tokens, then the characters that stand for bytes, by code point.
std::vector<std::string> FirstTokens(const std::vector<std::string>& special,
                                     std::vector<std::int32_t>& id_of_byte) {
  std::vector<std::string> tokens = special;
  std::vector<std::pair<char32_t, int>> alphabet;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet.emplace_back(text::CharacterOfByte(static_cast<unsigned char>(byte)), byte);
  }
  std::ranges::sort(alphabet);
  id_of_byte.assign(256, -1);
  for (const auto& [character, byte] : alphabet) {
    std::string written;
    AppendUtf8(written, character);
    id_of_byte[static_cast<std::size_t>(byte)] = static_cast<std::int32_t>(tokens.size());
    tokens.push_back(std::move(written));
  }
  return tokens;
}

Result<> CheckBpe(const BpeTraining& options) {
  TATARA_RETURN_IF_ERROR(CheckTraining(options));
  const std::vector<std::string> names = BpePreNames();
  if (std::ranges::find(names, options.pre) == names.end()) {
    return Refuse("the pre-tokenizer '{0}' (pre) is not known; there are {1}",
                  Printable(options.pre), fmt::format("{}", fmt::join(names, ", ")));
  }
  for (const std::string& token : options.special) {
    const Utf8Sequence first = ReadUtf8(token);
    if (first.length == token.size() && text::ByteOfCharacter(first.code_point)) {
      return Refuse("the special token '{0}' is the token of a byte", token);
    }
  }
  const std::size_t n_first = options.special.size() + 256;
  if (static_cast<std::size_t>(options.vocabulary) < n_first) {
    return VocabularyTooSmall(options.vocabulary, n_first, options.special.size());
  }
  return Ok{};
}

}  // namespace

std::vector<std::string> BpePreNames() {
  std::vector<std::string> names = {"gpt2", "llama-3"};
  for (const std::string_view name : text::TextSplitter::Names()) names.emplace_back(name);
  std::ranges::sort(names);
  return names;
}

Result<TrainedTokenizer> TrainBpe(TextStream& texts, const BpeTraining& options) {
  TATARA_RETURN_IF_ERROR(CheckBpe(options));
  const std::string pre = SplitName(options.pre);
  TATARA_TRY(const text::TextSplitter splitter, text::TextSplitter::OfName(pre, "pre"));
  TATARA_TRY(const WordCounts words, CountWords(texts, splitter, options));
  constexpr std::uint64_t kPlacesMax = std::numeric_limits<std::uint32_t>::max();
  if (words.text_bytes() + words.size() + 1 > kPlacesMax) {
    return Refuse("the distinct pieces of the texts are {0} bytes long, limit {1}",
                  words.text_bytes(), kPlacesMax);
  }
  std::vector<std::int32_t> id_of_byte;
  std::vector<std::string> first = FirstTokens(options.special, id_of_byte);
  MergeTrainer trainer(words, std::move(first), id_of_byte, options.special.size());
  TATARA_RETURN_IF_ERROR(trainer.Run(options));

  const std::vector<std::string>& tokens = trainer.tokens();
  std::vector<std::string> merges;
  for (const auto& [left, right] : trainer.Merges()) {
    merges.push_back(tokens[static_cast<std::size_t>(left)] + " " +
                     tokens[static_cast<std::size_t>(right)]);
  }
  std::vector<std::int64_t> types(tokens.size(), kNormalToken);
  std::fill_n(types.begin(), options.special.size(), kControlToken);
  Metadata gguf("tokenizer");
  gguf.Set("tokenizer.ggml.model", std::string("gpt2"));
  gguf.Set("tokenizer.ggml.pre", pre);
  gguf.Set("tokenizer.ggml.tokens", tokens);
  gguf.Set("tokenizer.ggml.token_type", std::move(types));
  gguf.Set("tokenizer.ggml.merges", std::move(merges));
  SetSpecialIds(options, gguf);
  return FinishTokenizer(std::move(gguf), words);
}

}  // namespace tatara::corpus
