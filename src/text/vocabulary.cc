#include "vocabulary.h"

#include <algorithm>
#include <array>

#include "tatara/base/philox.h"

namespace tatara::text {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";

// Texts that end a turn in the chat formats of the field. A vocabulary that has one as a control
// token means it so; as a normal token it is only text.
constexpr auto kTurnEnds = std::to_array<std::string_view>({
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<turn|>",
    "<eos>",
    "</s>",
    "[EOS]",
    "<EOT>",
    "<|EOT|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
});

// Fill in the middle: keys of GGUF, the newer first, and what vocabularies call the tokens.
struct FillKeys {
  std::string_view prefix, suffix, middle;
};
constexpr auto kFillKeys = std::to_array<FillKeys>({
    {"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_suf_token_id",
     "tokenizer.ggml.fim_mid_token_id"},
    {"tokenizer.ggml.prefix_token_id", "tokenizer.ggml.suffix_token_id",
     "tokenizer.ggml.middle_token_id"},
});
constexpr auto kFillNames = std::to_array<FillKeys>({
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},     // Qwen, CodeGemma
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},           // StarCoder
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},           // SantaCoder
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},     // DeepSeek
    {"▁<PRE>", "▁<SUF>", "▁<MID>"},                             // CodeLlama
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},  // GLM
});
// Written by models where what fills the hole is done, and another file would begin.
constexpr auto kFillEnds = std::to_array<std::string_view>(
    {"<|fim_pad|>", "<fim_pad>", "<fim-pad>", "<|file_sep|>", "<file_sep>", "<|file_separator|>",
     "<|repo_name|>", "▁<EOT>"});

}  // namespace

Result<Vocabulary> Vocabulary::FromMetadata(const Metadata& metadata, Otherwise otherwise) {
  Vocabulary vocabulary;
  vocabulary.origin_ = metadata.origin();
  TATARA_RETURN_IF_ERROR(vocabulary.ReadTokens(metadata));
  TATARA_RETURN_IF_ERROR(vocabulary.ReadTypes(metadata));
  TATARA_RETURN_IF_ERROR(vocabulary.ReadSpecialIds(metadata, otherwise));
  return vocabulary;
}

Result<> Vocabulary::ReadTokens(const Metadata& metadata) {
  const std::vector<std::string>* tokens = metadata.Strings(kTokens);
  if (tokens == nullptr || tokens->empty()) {
    return Refuse("{0}: the key '{1}' is missing or not a list of texts", origin_, kTokens);
  }
  if (tokens->size() > kTokensMax) {
    return Refuse("{0}: '{1}' has {2} entries, limit {3}", origin_, kTokens, tokens->size(),
                  kTokensMax);
  }
  std::size_t n_bytes = 0;
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    const std::size_t length = (*tokens)[i].size();
    n_bytes += length;
    if (length > kTokenBytesMax) {
      return Refuse("{0}: '{1}' entry {2} is {3} bytes long, limit {4}", origin_, kTokens, i,
                    length, kTokenBytesMax);
    }
  }
  if (n_bytes > kTextBytesMax) {
    return Refuse("{0}: '{1}' is {2} bytes long, limit {3}", origin_, kTokens, n_bytes,
                  kTextBytesMax);
  }
  // Longer than any small-string buffer, so that moving this object leaves the characters where
  // they are.
  bytes_.reserve(n_bytes + 64);
  ends_.reserve(tokens->size());
  for (const std::string& token : *tokens) {
    bytes_ += token;
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  types_.assign(tokens->size(), TokenType::kNormal);
  by_text_.Reset(tokens->size(), FreshSeed());
  for (std::int32_t id = 0; id < size(); ++id) {
    if (text(id).empty())
      continue;  // some files pad with empty texts: never produced, stand for nothing
    if (const std::int32_t other = by_text_.Add(text(id), id); other >= 0) {
      return Refuse("{0}: '{1}' entries {2} and {3} are the same text '{4}'", origin_, kTokens,
                    other, id, text(id));
    }
  }
  return Ok{};
}

Result<> Vocabulary::ReadTypes(const Metadata& metadata) {
  if (!metadata.Has(kTypes)) return Ok{};  // older files: every token is normal
  const std::optional<std::vector<std::int64_t>> types = metadata.Ints(kTypes);
  if (!types) return Refuse("{0}: the key '{1}' is not a list of integers", origin_, kTypes);
  if (types->size() != types_.size()) {
    return Refuse("{0}: '{1}' has {2} entries, '{3}' has {4}", origin_, kTypes, types->size(),
                  kTokens, types_.size());
  }
  for (std::size_t i = 0; i < types->size(); ++i) {
    const std::int64_t type = (*types)[i];
    if (type < 1 || type > 6) {
      return Refuse("{0}: '{1}' entry {2} is {3}, expected 1 to 6", origin_, kTypes, i, type);
    }
    types_[i] = static_cast<TokenType>(type);
  }
  return Ok{};
}

// -1 where the key is absent.
Result<std::int32_t> Vocabulary::ReadId(const Metadata& metadata, std::string_view key) const {
  if (!metadata.Has(key)) return -1;
  TATARA_TRY(const std::int64_t id, metadata.Int(key));
  if (id < 0 || id >= size()) {
    return Refuse("{0}: '{1}' is {2}, expected an id below {3}", origin_, key, id, size());
  }
  return static_cast<std::int32_t>(id);
}

// By the file's keys, else by names. As a normal token such a name is only text.
Result<> Vocabulary::ReadFillTokens(const Metadata& metadata) {
  for (const FillKeys& keys : kFillKeys) {
    FillTokens found;
    TATARA_TRY(found.prefix, ReadId(metadata, keys.prefix));
    TATARA_TRY(found.suffix, ReadId(metadata, keys.suffix));
    TATARA_TRY(found.middle, ReadId(metadata, keys.middle));
    if (!fill_tokens_.all()) fill_tokens_ = found;
  }
  const auto special = [&](std::string_view name) {
    const std::int32_t id = Find(name);
    return id >= 0 && (type(id) == TokenType::kControl || type(id) == TokenType::kUserDefined) ? id
                                                                                               : -1;
  };
  for (const FillKeys& names : kFillNames) {
    if (fill_tokens_.all()) return Ok{};
    fill_tokens_ = {special(names.prefix), special(names.suffix), special(names.middle)};
  }
  if (!fill_tokens_.all()) fill_tokens_ = {};
  return Ok{};
}

Result<> Vocabulary::ReadSpecialIds(const Metadata& metadata, Otherwise otherwise) {
  const auto read = [&](std::string_view key) { return ReadId(metadata, key); };
  TATARA_TRY(start_id_, read("tokenizer.ggml.bos_token_id"));
  TATARA_TRY(end_id_, read("tokenizer.ggml.eos_token_id"));
  TATARA_TRY(unknown_id_, read("tokenizer.ggml.unknown_token_id"));
  TATARA_TRY(const std::int32_t end_of_turn, read("tokenizer.ggml.eot_token_id"));
  TATARA_TRY(const std::int32_t end_of_message, read("tokenizer.ggml.eom_token_id"));

  constexpr std::string_view kAddsStart = "tokenizer.ggml.add_bos_token";
  TATARA_TRY(adds_start_, metadata.BoolOr(kAddsStart, otherwise.adds_start && start_id_ >= 0));
  if (adds_start_ && start_id_ < 0) {
    return Refuse("{0}: '{1}' is true but '{2}' is missing", origin_, kAddsStart,
                  "tokenizer.ggml.bos_token_id");
  }

  constexpr std::string_view kAddsEnd = "tokenizer.ggml.add_eos_token";
  TATARA_TRY(adds_end_, metadata.BoolOr(kAddsEnd, otherwise.adds_end && end_id_ >= 0));
  if (adds_end_ && end_id_ < 0) {
    return Refuse("{0}: '{1}' is true but '{2}' is missing", origin_, kAddsEnd,
                  "tokenizer.ggml.eos_token_id");
  }

  ends_generation_.assign(types_.size(), false);
  for (const std::int32_t id : {end_id_, end_of_turn, end_of_message}) {
    if (id >= 0) ends_generation_[id] = true;
  }
  const auto control_id = [&](std::string_view token) {
    const std::int32_t id = Find(token);
    return id >= 0 && type(id) == TokenType::kControl ? id : -1;
  };
  // The harmony format (gpt-oss) ends each message of one answer with <|end|>, the answer with
  // <|return|>.
  const bool harmony = control_id("<|return|>") >= 0 && control_id("<|call|>") >= 0;
  for (const std::string_view turn_end : kTurnEnds) {
    if (harmony && turn_end == "<|end|>") continue;
    if (const std::int32_t id = control_id(turn_end); id >= 0) ends_generation_[id] = true;
  }
  TATARA_RETURN_IF_ERROR(ReadFillTokens(metadata));
  if (!fill_tokens_.all()) return Ok{};
  for (const std::string_view fill_end : kFillEnds) {
    if (const std::int32_t id = Find(fill_end); id >= 0 && type(id) != TokenType::kNormal) {
      ends_generation_[id] = true;
    }
  }
  return Ok{};
}

}  // namespace tatara::text
