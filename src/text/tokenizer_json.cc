#include "tatara/text/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "named_splits.h"
#include "normalizer.h"
#include "tatara/base/utf8.h"
#include "tatara/text/tokenizer.h"

namespace tatara::text {
namespace {

using Json = nlohmann::ordered_json;

// Of tokenizer.ggml.token_type.
constexpr std::int64_t kNormal = 1, kControl = 3, kUserDefined = 4, kByte = 6;
constexpr std::string_view kMark =
    "\xE2\x96\x81";  // U+2581, a space in SentencePiece's vocabularies

Json PreTokenizer(const NamedSplits& splits) {
  Json steps = Json::array();
  for (const std::string_view expression : splits.expressions) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", expression}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json ByteLevel() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", true},
          {"trim_offsets", true},
          {"use_regex", true}};
}

// A start token before each text.
Json StartsWith(const std::string& token, std::int32_t id) {
  const auto special = [&](int segment) {
    return Json{{"SpecialToken", {{"id", token}, {"type_id", segment}}}};
  };
  const auto sequence = [](const char* name, int segment) {
    return Json{{"Sequence", {{"id", name}, {"type_id", segment}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {special(0), sequence("A", 0)}},
          {"pair", {special(0), sequence("A", 0), special(1), sequence("B", 1)}},
          {"special_tokens", {{token, {{"id", token}, {"ids", {id}}, {"tokens", {token}}}}}}};
}

Error Broken(const Metadata& metadata, std::string_view key) {
  return Refuse("{0}: the key '{1}' cannot be written as tokenizer.json", metadata.origin(), key);
}

bool IsWellFormed(std::string_view text) {
  while (!text.empty()) {
    const Utf8Sequence sequence = ReadUtf8(text);
    if (!sequence.valid) return false;
    text.remove_prefix(sequence.length);
  }
  return true;
}

Result<Json> VocabularyOf(const Metadata& metadata, const std::vector<std::string>& tokens) {
  std::unordered_set<std::string_view> seen;
  Json::object_t entries;  // a list: adding by key would look through all of it each time
  entries.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!IsWellFormed(tokens[i]) || !seen.insert(tokens[i]).second) {
      return Broken(metadata, "tokenizer.ggml.tokens");
    }
    entries.emplace_back(tokens[i], i);
  }
  return Json(std::move(entries));
}

Json AddedTokens(const std::vector<std::string>& tokens, const std::vector<std::int64_t>& types) {
  Json added = Json::array();
  for (std::size_t i = 0; i < tokens.size() && i < types.size(); ++i) {
    if (types[i] != kControl && types[i] != kUserDefined) continue;
    added.push_back({{"id", i},
                     {"content", tokens[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[i] == kControl}});
  }
  return added;
}

Result<Json> PostProcessor(const Metadata& metadata, const NamedSplits& splits,
                           const std::vector<std::string>& tokens) {
  TATARA_TRY(const bool adds, metadata.BoolOr("tokenizer.ggml.add_bos_token", splits.adds_start));
  if (!adds || !metadata.Has("tokenizer.ggml.bos_token_id")) return ByteLevel();
  TATARA_TRY(const std::int64_t id, metadata.Int("tokenizer.ggml.bos_token_id"));
  if (id < 0 || id >= std::ssize(tokens)) return Broken(metadata, "tokenizer.ggml.bos_token_id");
  return StartsWith(tokens[static_cast<std::size_t>(id)], static_cast<std::int32_t>(id));
}

Json Head(const std::vector<std::string>& tokens, const std::vector<std::int64_t>& types) {
  Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = AddedTokens(tokens, types);
  return json;
}

std::string Written(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<std::string> BpeJson(const Metadata& metadata) {
  TATARA_TRY(const std::string name, metadata.StringOr("tokenizer.ggml.pre", "default"));
  TATARA_TRY(const NamedSplits splits, SplitsOfName(name, metadata.origin()));
  if (splits.surrounds) return Broken(metadata, "tokenizer.ggml.pre");
  const std::vector<std::string>* tokens = metadata.Strings("tokenizer.ggml.tokens");
  const std::vector<std::string>* merges = metadata.Strings("tokenizer.ggml.merges");
  const auto types = metadata.Ints("tokenizer.ggml.token_type");
  if (tokens == nullptr || merges == nullptr || !types) {
    return Broken(metadata, "tokenizer.ggml.tokens");
  }
  TATARA_TRY(Json vocabulary, VocabularyOf(metadata, *tokens));
  TATARA_TRY(Json post_processor, PostProcessor(metadata, splits, *tokens));
  Json json = Head(*tokens, *types);
  json["normalizer"] = splits.composes ? Json{{"type", "NFC"}} : Json();
  json["pre_tokenizer"] = PreTokenizer(splits);
  json["post_processor"] = std::move(post_processor);
  json["decoder"] = ByteLevel();
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", splits.whole_pieces}};
  json["model"]["vocab"] = std::move(vocabulary);
  json["model"]["merges"] = *merges;
  return Written(json);
}

// Spaces become marks and one is put in front; words are cut apart at marks where no token has one
// inside.
Json Metaspace(bool splits) {
  return {{"type", "Metaspace"},
          {"replacement", kMark},
          {"prepend_scheme", "always"},
          {"split", splits}};
}

std::string InUpperCase(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

Result<std::string> UnigramJson(const Metadata& metadata) {
  for (const std::string_view key :
       {"tokenizer.ggml.precompiled_charsmap", "tokenizer.e5.charmap_from"}) {
    if (metadata.Has(key)) return Broken(metadata, key);
  }
  TATARA_TRY(const bool prefix, metadata.BoolOr("tokenizer.ggml.add_space_prefix", true));
  if (!prefix) return Broken(metadata, "tokenizer.ggml.add_space_prefix");
  constexpr std::string_view kSqueezes = "tokenizer.ggml.remove_extra_whitespaces";
  TATARA_TRY(const bool squeezes, metadata.BoolOr(kSqueezes, false));
  if (squeezes) return Broken(metadata, kSqueezes);
  const std::vector<std::string>* tokens = metadata.Strings("tokenizer.ggml.tokens");
  const std::vector<double>* scores = metadata.Floats("tokenizer.ggml.scores");
  const auto types = metadata.Ints("tokenizer.ggml.token_type");
  if (tokens == nullptr || scores == nullptr || !types) {
    return Broken(metadata, "tokenizer.ggml.tokens");
  }
  Json::array_t vocabulary;
  vocabulary.reserve(tokens->size());
  bool splits = true, has_bytes = false;
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    if (!IsWellFormed((*tokens)[i])) return Broken(metadata, "tokenizer.ggml.tokens");
    splits &= (*types)[i] != kNormal || (*tokens)[i].find(kMark, 1) == std::string::npos;
    has_bytes |= (*types)[i] == kByte;
    vocabulary.push_back(Json::array({(*tokens)[i], (*scores)[i]}));
  }
  constexpr std::string_view kUnknown = "tokenizer.ggml.unknown_token_id";
  TATARA_TRY(const std::int64_t unknown, metadata.IntOr(kUnknown, -1));
  TATARA_TRY(Json post_processor, PostProcessor(metadata, {}, *tokens));
  TATARA_TRY(const std::string form, metadata.StringOr(kNormalFormKey, ""));
  Json json = Head(*tokens, *types);
  json["normalizer"] = form.empty() ? Json() : Json{{"type", InUpperCase(form)}};
  json["pre_tokenizer"] = Metaspace(splits);
  json["post_processor"] = post_processor["type"] == "ByteLevel" ? Json() : post_processor;
  json["decoder"] = Metaspace(splits);
  if (has_bytes) {
    json["decoder"] = {
        {"type", "Sequence"},
        {"decoders", Json::array({Json{{"type", "ByteFallback"}}, Metaspace(splits)})}};
  }
  json["model"] = {{"type", "Unigram"},
                   {"unk_id", unknown < 0 ? Json() : Json(unknown)},
                   {"vocab", std::move(vocabulary)},
                   {"byte_fallback", has_bytes}};
  return Written(json);
}

}  // namespace

Result<std::string> TokenizerJsonOf(const Metadata& metadata) {
  TATARA_TRY(const std::string model, metadata.String("tokenizer.ggml.model"));
  const bool ends = model == "t5" && metadata.Has("tokenizer.ggml.eos_token_id");
  TATARA_TRY(const bool adds_end, metadata.BoolOr("tokenizer.ggml.add_eos_token", ends));
  if (adds_end) return Broken(metadata, "tokenizer.ggml.add_eos_token");
  if (model != "gpt2" && model != "t5") return Broken(metadata, "tokenizer.ggml.model");
  // Whatever this program would refuse is refused before anything is written.
  TATARA_TRY([[maybe_unused]] const auto tokenizer, Tokenizer::FromMetadata(metadata));
  return model == "gpt2" ? BpeJson(metadata) : UnigramJson(metadata);
}

}  // namespace tatara::text
