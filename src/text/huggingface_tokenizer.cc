#include "huggingface_tokenizer.h"

#include <new>
#include <unordered_map>
#include <utility>

#include "huggingface/components.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/localise.h"
#include "tatara/base/utf8.h"

namespace tatara::text {
namespace {

using huggingface::Tokens;
using Json = nlohmann::json;

constexpr auto kControl = static_cast<std::int64_t>(TokenType::kControl);
constexpr auto kUnknown = static_cast<std::int64_t>(TokenType::kUnknown);
constexpr auto kUserDefined = static_cast<std::int64_t>(TokenType::kUserDefined);
constexpr std::size_t kGapMax = 1 << 16;  // ids left out before an added token

struct AddedToken {
  std::int32_t id = -1;
  bool normalized = false;
  PipelineTokenizer::Finding finding;
  bool has_finding = false;
};

Error OutOfMemory(const Metadata& metadata, std::string_view key) {
  return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory for what '{1}' holds",
                   metadata.origin(), key);
}

// JSON of a metadata key; null where the key is absent.
Result<Json> ReadJson(const Metadata& metadata, std::string_view key) {
  if (!metadata.Has(key)) return Json();
  TATARA_TRY(const std::string text, metadata.String(key));
  if (text.size() > kTokenizerJsonBytesMax) {
    return Refuse("{0}: '{1}' is {2} bytes long, limit {3}", metadata.origin(), key, text.size(),
                  kTokenizerJsonBytesMax);
  }
  if (JsonNestsTooDeeply(text)) {
    return Refuse("{0}: '{1}' nests too deeply", metadata.origin(), key);
  }
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return Refuse("{0}: '{1}' is no JSON at byte {2}", metadata.origin(), key, error.byte);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(metadata, key);
  } catch (const std::exception&) {
    return Refuse("{0}: '{1}' can not be read as JSON", metadata.origin(), key);
  }
}

Result<std::vector<AddedToken>> ReadAddedTokens(const JsonPlace& root, Tokens& tokens) {
  std::vector<AddedToken> added;
  TATARA_TRY(const auto list, root.List("added_tokens", Vocabulary::kTokensMax));
  std::unordered_map<std::string_view, std::size_t> id_of;
  // Grown first: the texts must stay where they are.
  std::size_t n = tokens.texts.size();
  for (const JsonPlace& place : list) {
    TATARA_TRY(const std::int64_t id, place.Int("id"));
    if (id < 0 || static_cast<std::size_t>(id) >= Vocabulary::kTokensMax ||
        static_cast<std::size_t>(id) > n + kGapMax) {
      return place.Expected(MarkText("an id that follows the vocabulary"));
    }
    n = std::max(n, static_cast<std::size_t>(id) + 1);
  }
  tokens.texts.resize(n);
  tokens.types.resize(n, static_cast<std::int64_t>(TokenType::kNormal));
  for (std::size_t id = 0; id < n; ++id) {
    if (!tokens.texts[id].empty()) id_of.emplace(tokens.texts[id], id);
  }
  for (const JsonPlace& place : list) {
    AddedToken token;
    TATARA_TRY(const std::int64_t id, place.Int("id"));
    TATARA_TRY(std::string text, place.String("content"));
    TATARA_TRY(const bool special, place.BoolOr("special", false));
    TATARA_TRY(token.normalized, place.BoolOr("normalized", !special));
    TATARA_TRY(token.finding.eats_before, place.BoolOr("lstrip", false));
    TATARA_TRY(token.finding.eats_after, place.BoolOr("rstrip", false));
    TATARA_TRY(token.finding.whole_word, place.BoolOr("single_word", false));
    token.has_finding =
        token.finding.eats_before || token.finding.eats_after || token.finding.whole_word;
    if (text.empty() || !IsValidUtf8(text))
      return place.Expected(MarkText("a text that is not empty"));
    const auto at = static_cast<std::size_t>(id);
    const auto known = id_of.find(text);
    const bool elsewhere = known != id_of.end() && known->second != at;
    if (elsewhere || (!tokens.texts[at].empty() && tokens.texts[at] != text)) {
      return Refuse("{0}: '{1}' has the id {2}, but the vocabulary disagrees", place.Named(), text,
                    id);
    }
    if (tokens.texts[at].empty()) {
      tokens.texts[at] = std::move(text);
      id_of.emplace(tokens.texts[at], at);
    }
    tokens.types[at] = special ? kControl : kUserDefined;
    token.id = static_cast<std::int32_t>(id);
    added.push_back(token);
  }
  return added;
}

// "<s>" or {"content": "<s>"}; empty where absent.
std::string TokenOf(const Json& config, std::string_view key) {
  if (!config.is_object()) return {};
  const auto found = config.find(key);
  if (found == config.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_object()) return {};
  const auto content = found->find("content");
  return content != found->end() && content->is_string() ? content->get<std::string>() : "";
}

bool Says(const Json& config, std::string_view key) {
  if (!config.is_object()) return false;
  const auto found = config.find(key);
  return found != config.end() && found->is_boolean() && found->get<bool>();
}

// One id or a list of them.
std::vector<std::int64_t> IdsOf(const Json& config, std::string_view key) {
  std::vector<std::int64_t> ids;
  if (!config.is_object() || !config.contains(key)) return ids;
  const Json& value = config[std::string(key)];
  if (value.is_number_integer()) return {value.get<std::int64_t>()};
  if (!value.is_array()) return ids;
  for (const Json& id : value) {
    if (id.is_number_integer()) ids.push_back(id.get<std::int64_t>());
  }
  return ids;
}

class Maker {
 public:
  explicit Maker(const Metadata& metadata) : metadata_(metadata) {}

  Result<std::unique_ptr<Tokenizer>> Run() {
    TATARA_TRY(const Json document, ReadJson(metadata_, kHuggingFaceKey));
    TATARA_TRY(config_, ReadJson(metadata_, "tokenizer.huggingface.config"));
    TATARA_TRY(generation_, ReadJson(metadata_, "tokenizer.huggingface.generation"));
    const JsonPlace root(document, metadata_.origin(), "");
    TATARA_TRY(const JsonPlace model, root.Member("model"));
    TATARA_TRY(tokens_, huggingface::ReadTokens(model));
    TATARA_TRY(const std::vector<AddedToken> added, ReadAddedTokens(root, tokens_));
    TATARA_TRY(Vocabulary vocabulary, MakeVocabulary());

    PipelineTokenizer::Parts parts;
    bool over_bytes = false;
    TATARA_TRY(const JsonPlace normalizer, root.Member("normalizer"));
    TATARA_RETURN_IF_ERROR(huggingface::ReadNormalizer(normalizer, parts.normalizer));
    TATARA_TRY(const JsonPlace pre_tokenizer, root.Member("pre_tokenizer"));
    TATARA_RETURN_IF_ERROR(
        huggingface::ReadPreTokenizer(pre_tokenizer, parts.pre_tokenizer, over_bytes));
    TATARA_TRY(parts.model, huggingface::ReadModel(model, vocabulary, tokens_, over_bytes));
    TATARA_TRY(const JsonPlace decoder, root.Member("decoder"));
    TATARA_RETURN_IF_ERROR(huggingface::ReadDecoder(decoder, parts.writing));
    TATARA_TRY(const JsonPlace post_processor, root.Member("post_processor"));
    TATARA_TRY(parts.surroundings, huggingface::ReadPostProcessor(post_processor, vocabulary));
    if (!parts.surroundings) parts.surroundings = FromConfig(vocabulary);
    for (const AddedToken& token : added) {
      if (token.has_finding) parts.findings.emplace_back(token.id, token.finding);
      const bool in_normalised = token.normalized && !parts.normalizer.empty() &&
                                 vocabulary.type(token.id) == TokenType::kUserDefined;
      if (in_normalised) parts.normalised_tokens.push_back(token.id);
    }
    return std::unique_ptr<Tokenizer>(
        std::make_unique<PipelineTokenizer>(std::move(vocabulary), std::move(parts)));
  }

 private:
  // Through the keys of GGUF, whose checks hold here too.
  Result<Vocabulary> MakeVocabulary() {
    Metadata made(metadata_.origin());
    const std::string start = TokenOf(config_, "bos_token"), end = TokenOf(config_, "eos_token");
    for (std::size_t i = 0; i < tokens_.texts.size(); ++i) {
      const std::string& text = tokens_.texts[i];
      if (text.empty()) continue;
      if (text == start) made.Set("tokenizer.ggml.bos_token_id", static_cast<std::int64_t>(i));
      if (text == end) made.Set("tokenizer.ggml.eos_token_id", static_cast<std::int64_t>(i));
      if (text == tokens_.unknown && text != start && text != end) {
        made.Set("tokenizer.ggml.unknown_token_id", static_cast<std::int64_t>(i));
        tokens_.types[i] = kUnknown;
      }
    }
    for (const auto& [key, name] : {std::pair("tokenizer.ggml.bos_token_id", "bos_token_id"),
                                    std::pair("tokenizer.ggml.eos_token_id", "eos_token_id")}) {
      if (made.Has(key)) continue;
      const std::vector<std::int64_t> ids = IdsOf(generation_, name);
      if (!ids.empty()) {
        made.Set(key, ids[0]);
      } else if (metadata_.Has(key)) {
        TATARA_TRY(const std::int64_t id, metadata_.Int(key));
        made.Set(key, id);
      }
    }
    made.Set("tokenizer.ggml.add_bos_token", false);
    made.Set("tokenizer.ggml.add_eos_token", false);
    made.Set("tokenizer.ggml.tokens", tokens_.texts);
    made.Set("tokenizer.ggml.token_type", tokens_.types);
    TATARA_TRY(Vocabulary vocabulary, Vocabulary::FromMetadata(made, {}));
    for (const std::int64_t id : IdsOf(generation_, "eos_token_id")) {
      if (id >= 0 && id < vocabulary.size()) {
        vocabulary.SetEndsGeneration(static_cast<std::int32_t>(id));
      }
    }
    return vocabulary;
  }

  // Where tokenizer.json adds no tokens, the class that reads it may (add_bos_token).
  std::optional<PipelineTokenizer::Surroundings> FromConfig(const Vocabulary& vocabulary) const {
    PipelineTokenizer::Surroundings made;
    if (Says(config_, "add_bos_token") && vocabulary.start_id() >= 0) {
      made.before = {vocabulary.start_id()};
    }
    if (Says(config_, "add_eos_token") && vocabulary.end_id() >= 0) {
      made.after = {vocabulary.end_id()};
    }
    return made;
  }

  const Metadata& metadata_;
  Json config_, generation_;
  Tokens tokens_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeHuggingFaceTokenizer(const Metadata& metadata) {
  try {
    return Maker(metadata).Run();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(metadata, kHuggingFaceKey);
  } catch (const std::exception&) {  // of the JSON library
    return Refuse("{0}: '{1}' can not be read as JSON", metadata.origin(), kHuggingFaceKey);
  }
}

}  // namespace tatara::text
