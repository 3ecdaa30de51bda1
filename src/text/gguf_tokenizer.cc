#include "gguf_tokenizer.h"

#include <utility>

#include "bpe_model.h"
#include "named_splits.h"
#include "pipeline_tokenizer.h"
#include "tatara/base/utf8.h"
#include "unigram_model.h"
#include "word_piece_model.h"

namespace tatara::text {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581
constexpr std::size_t kMappedCharactersMax = 64;    // of one entry of a character map

using Parts = PipelineTokenizer::Parts;

Result<std::unique_ptr<Tokenizer>> Finish(Vocabulary vocabulary, Parts parts) {
  return std::unique_ptr<Tokenizer>(
      std::make_unique<PipelineTokenizer>(std::move(vocabulary), std::move(parts)));
}

Result<BpeModel::Merges> ReadMerges(const Metadata& metadata) {
  const std::vector<std::string>* lines = metadata.Strings(kMergesKey);
  if (lines == nullptr) {
    return Refuse("{0}: the key '{1}' is missing or not a list of texts", metadata.origin(),
                  kMergesKey);
  }
  BpeModel::Merges merges;
  merges.reserve(std::min(lines->size(), BpeModel::kMergesMax + 1));
  for (std::size_t i = 0; i < lines->size() && i <= BpeModel::kMergesMax; ++i) {
    const std::string_view line = (*lines)[i];
    const std::size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == line.size()) {
      return Refuse("{0}: '{1}' entry {2} is '{3}', expected two pieces with a space between",
                    metadata.origin(), kMergesKey, i, line);
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

// The first of the keys that is there, checked against the vocabulary; -1 where none is.
Result<std::int32_t> SpecialId(const Metadata& metadata, const Vocabulary& vocabulary,
                               std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!metadata.Has(key)) continue;
    TATARA_TRY(const std::int64_t id, metadata.Int(key));
    if (id < 0 || id >= vocabulary.size()) {
      return Refuse("{0}: '{1}' is {2}, expected an id below {3}", metadata.origin(), key, id,
                    vocabulary.size());
    }
    return static_cast<std::int32_t>(id);
  }
  return -1;
}

std::vector<std::int32_t> Present(std::initializer_list<std::int32_t> ids) {
  std::vector<std::int32_t> present;
  for (const std::int32_t id : ids) {
    if (id >= 0) present.push_back(id);
  }
  return present;
}

// <s> A </s>, and <s> A </s></s> B </s>: RoBERTa and XLM-R.
PipelineTokenizer::Surroundings LikeRoberta(std::int32_t start, std::int32_t end) {
  return {.before = Present({start}),
          .after = Present({end}),
          .pair_before = Present({start}),
          .between = Present({end, end}),
          .pair_after = Present({end}),
          .knows_pairs = end >= 0};
}

// SentencePiece's own rules for white space and characters, from GGUF keys.
Result<> AddSentencePieceSteps(const Metadata& metadata, Normalizer& normalizer) {
  TATARA_TRY(const std::string form, metadata.StringOr(kNormalFormKey, ""));
  TATARA_RETURN_IF_ERROR(AddForm(form, metadata.origin(), normalizer));
  constexpr std::string_view kMap = "tokenizer.ggml.precompiled_charsmap";
  if (metadata.Has(kMap)) {
    const std::optional<std::vector<std::int64_t>> values = metadata.Ints(kMap);
    if (!values) {
      return Refuse("{0}: the key '{1}' is not a list of integers", metadata.origin(), kMap);
    }
    std::string bytes;
    bytes.reserve(values->size());
    for (const std::int64_t value : *values) bytes.push_back(static_cast<char>(value));
    TATARA_TRY(CharacterMap map, CharacterMap::FromBytes(bytes, metadata.origin(), kMap));
    normalizer.Add(Normalizer::Map{.map = std::move(map), .by_grapheme = false});
  }
  Normalizer::Spaces spaces;
  TATARA_TRY(spaces.prefix, metadata.BoolOr("tokenizer.ggml.add_space_prefix", true));
  TATARA_TRY(spaces.squeeze, metadata.BoolOr("tokenizer.ggml.remove_extra_whitespaces", false));
  spaces.trim = spaces.squeeze;
  normalizer.Add(spaces);
  return Ok{};
}

// The e5 container: a map of single characters, then composition (a kana and its mark), then runs
// of spaces squeezed and nothing trimmed.
Result<> AddE5Steps(const Metadata& metadata, Normalizer& normalizer) {
  const auto list = [&](std::string_view key) -> Result<std::vector<std::int64_t>> {
    std::optional<std::vector<std::int64_t>> values = metadata.Ints(key);
    if (!values)
      return Refuse("{0}: the key '{1}' is not a list of integers", metadata.origin(), key);
    return *std::move(values);
  };
  TATARA_TRY(const auto from, list("tokenizer.e5.charmap_from"));
  TATARA_TRY(const auto counts, list("tokenizer.e5.charmap_count"));
  TATARA_TRY(const auto to, list("tokenizer.e5.charmap_to"));
  const auto is_character = [](std::int64_t c) {
    return c >= 0 && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
  };
  Normalizer::CodePointMap map;
  std::size_t at = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::int64_t count = i < counts.size() ? counts[i] : -1;
    if (!is_character(from[i]) || count < 0 ||
        count > static_cast<std::int64_t>(kMappedCharactersMax) ||
        static_cast<std::size_t>(count) > to.size() - at) {
      return Refuse("{0}: '{1}' entry {2} is broken", metadata.origin(),
                    "tokenizer.e5.charmap_from", i);
    }
    std::string replacement;
    for (std::int64_t n = 0; n < count; ++n, ++at) {
      if (!is_character(to[at])) {
        return Refuse("{0}: '{1}' entry {2} is broken", metadata.origin(),
                      "tokenizer.e5.charmap_to", at);
      }
      AppendUtf8(replacement, static_cast<char32_t>(to[at]));
    }
    map.to[static_cast<char32_t>(from[i])] = std::move(replacement);
  }
  normalizer.Add(std::move(map));
  TATARA_TRY(const bool composed, metadata.BoolOr("tokenizer.e5.composed", true));
  if (composed) normalizer.Add(Normalizer::Form{UnicodeForm::kNfc});
  normalizer.Add(Normalizer::Spaces{
      .squeeze = true, .trim = false, .prefix = true, .prefix_only_at_start = true});
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const Metadata& metadata) {
  TATARA_TRY(const std::string pre, metadata.StringOr("tokenizer.ggml.pre", "default"));
  TATARA_TRY(const NamedSplits splits, SplitsOfName(pre, metadata.origin()));
  TATARA_TRY(Vocabulary vocabulary,
             Vocabulary::FromMetadata(metadata, {.adds_start = splits.adds_start}));
  Parts parts;
  if (splits.composes) parts.normalizer.Add(Normalizer::Form{UnicodeForm::kNfc});
  TATARA_TRY(parts.pre_tokenizer,
             PreTokenizer::OfExpressions(splits.expressions, metadata.origin()));
  TATARA_TRY(const BpeModel::Merges merges, ReadMerges(metadata));
  TATARA_TRY(parts.model,
             BpeModel::Make(vocabulary, merges, {.whole_pieces = splits.whole_pieces}, kMergesKey));
  parts.writing.byte_alphabet = true;
  if (splits.surrounds) {
    TATARA_TRY(const std::int32_t start,
               SpecialId(metadata, vocabulary,
                         {"tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"}));
    TATARA_TRY(const std::int32_t end,
               SpecialId(metadata, vocabulary,
                         {"tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id"}));
    parts.surroundings = LikeRoberta(start, end);
  }
  return Finish(std::move(vocabulary), std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> MakeGemma4Tokenizer(const Metadata& metadata) {
  TATARA_TRY(Vocabulary vocabulary, Vocabulary::FromMetadata(metadata, {.adds_start = true}));
  Parts parts;
  parts.normalizer.Add(Normalizer::ReplaceText{.from = " ", .to = std::string(kMark)});
  TATARA_TRY(parts.pre_tokenizer,
             PreTokenizer::OfExpressions({R"([^\n]+|[\n]+)"}, metadata.origin()));
  TATARA_TRY(const BpeModel::Merges merges, ReadMerges(metadata));
  TATARA_TRY(parts.model, BpeModel::Make(vocabulary, merges,
                                         {.over_bytes = false,
                                          .whole_line_ends = true,
                                          .byte_fallback = true,
                                          .fuse_unknown = true,
                                          .unknown_id = vocabulary.unknown_id()},
                                         kMergesKey));
  parts.writing.mark = kMark;
  parts.writing.byte_tokens = true;
  return Finish(std::move(vocabulary), std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> MakeWordPieceTokenizer(const Metadata& metadata) {
  TATARA_TRY(Vocabulary vocabulary, Vocabulary::FromMetadata(metadata, {}));
  Parts parts;
  Normalizer::Bert bert;
  TATARA_TRY(bert.lowercase, metadata.BoolOr("tokenizer.ggml.normalizer.lowercase", true));
  TATARA_TRY(bert.strip_accents,
             metadata.BoolOr("tokenizer.ggml.normalizer.strip_accents", bert.lowercase));
  parts.normalizer.Add(bert);
  TATARA_TRY(SplitRegex spaces, SplitRegex::Compile(R"(\s)", metadata.origin()));
  TATARA_TRY(SplitRegex punctuation, SplitRegex::Compile(BertPunctuation(), metadata.origin()));
  parts.pre_tokenizer.AddSplit(std::move(spaces), PreTokenizer::Behaviour::kRemoved, false);
  parts.pre_tokenizer.AddSplit(std::move(punctuation), PreTokenizer::Behaviour::kIsolated, false);
  // Converters write the beginning of a word as U+2581 and drop the ## of what goes on.
  parts.model = std::make_unique<WordPieceModel>(
      vocabulary, WordPieceModel::Options{.first_prefix = std::string(kMark),
                                          .continuing_prefix = "",
                                          .unknown_id = vocabulary.unknown_id()});
  parts.writing.word_begin = kMark;
  parts.writing.words = true;
  parts.writing.drops_first_space = true;
  TATARA_TRY(const std::int32_t start,
             SpecialId(metadata, vocabulary,
                       {"tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"}));
  TATARA_TRY(const std::int32_t end,
             SpecialId(metadata, vocabulary,
                       {"tokenizer.ggml.seperator_token_id", "tokenizer.ggml.eos_token_id"}));
  parts.surroundings = PipelineTokenizer::Surroundings{.before = Present({start}),
                                                       .after = Present({end}),
                                                       .pair_before = Present({start}),
                                                       .between = Present({end}),
                                                       .pair_after = Present({end}),
                                                       .knows_pairs = end >= 0,
                                                       .second_segment = true};
  return Finish(std::move(vocabulary), std::move(parts));
}

Result<std::unique_ptr<Tokenizer>> MakeUnigramTokenizer(const Metadata& metadata) {
  TATARA_TRY(Vocabulary vocabulary, Vocabulary::FromMetadata(metadata, {.adds_end = true}));
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  const std::vector<double>* scores = metadata.Floats(kScores);
  if (scores == nullptr) {
    return Refuse("{0}: the key '{1}' is missing or not a list of numbers", metadata.origin(),
                  kScores);
  }
  Parts parts;
  TATARA_TRY(const std::string pre, metadata.StringOr("tokenizer.ggml.pre", ""));
  const bool e5 = pre == "e5";
  if (e5) {
    TATARA_RETURN_IF_ERROR(AddE5Steps(metadata, parts.normalizer));
  } else {
    TATARA_RETURN_IF_ERROR(AddSentencePieceSteps(metadata, parts.normalizer));
  }
  const std::int32_t a_byte = vocabulary.Find("<0x00>");
  const bool has_bytes = a_byte >= 0 && vocabulary.type(a_byte) == TokenType::kByte;
  TATARA_TRY(parts.model, UnigramModel::Make(vocabulary, *scores,
                                             {.fuse_unknown = !e5,
                                              .byte_fallback = has_bytes,
                                              .unknown_id = vocabulary.unknown_id()}));
  parts.writing.byte_tokens = has_bytes;
  parts.writing.mark = kMark;
  parts.writing.drops_first_space = true;
  if (vocabulary.adds_start() && vocabulary.adds_end()) {
    parts.surroundings = LikeRoberta(vocabulary.start_id(), vocabulary.end_id());
  }
  return Finish(std::move(vocabulary), std::move(parts));
}

}  // namespace tatara::text
