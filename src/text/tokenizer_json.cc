#include "tatara/text/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "named_splits.h"
#include "tatara/base/utf8.h"
#include "tatara/text/tokenizer.h"

namespace tatara::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kControl = 3, kUserDefined = 4;  // of tokenizer.ggml.token_type

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

}  // namespace

Result<std::string> TokenizerJsonOf(const Metadata& metadata) {
  TATARA_TRY(const std::string model, metadata.String("tokenizer.ggml.model"));
  TATARA_TRY(const bool adds_end, metadata.BoolOr("tokenizer.ggml.add_eos_token", false));
  if (model != "gpt2" || adds_end) {
    return Broken(metadata, adds_end ? "tokenizer.ggml.add_eos_token" : "tokenizer.ggml.model");
  }
  // Whatever this program would refuse is refused before anything is written.
  TATARA_TRY([[maybe_unused]] const auto tokenizer, Tokenizer::FromMetadata(metadata));
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
  Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = AddedTokens(*tokens, *types);
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
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tatara::text
