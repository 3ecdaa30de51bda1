#include <algorithm>
#include <cmath>

#include "huggingface/components.h"
#include "tatara/base/localise.h"
#include "unigram_model.h"
#include "word_piece_model.h"

namespace tatara::text::huggingface {
namespace {

constexpr std::int64_t kNormal = static_cast<std::int64_t>(TokenType::kNormal);

// {"token": id, ...}; ids without a token stay empty texts.
Result<Tokens> ReadVocabularyObject(const JsonPlace& model) {
  TATARA_TRY(const JsonPlace vocab, model.Member("vocab"));
  if (!vocab.value().is_object()) return vocab.Expected(MarkText("an object of tokens and ids"));
  if (vocab.value().size() > Vocabulary::kTokensMax) {
    return Refuse("{0}: {1} elements, limit {2}", vocab.Named(), vocab.value().size(),
                  Vocabulary::kTokensMax);
  }
  Tokens tokens;
  std::vector<bool> taken;
  for (const auto& [text, id] : vocab.value().items()) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::uint64_t>() >= Vocabulary::kTokensMax) {
      return Refuse("{0}: the id of '{1}' is no id below {2}", vocab.Named(), text,
                    Vocabulary::kTokensMax);
    }
    const auto at = id.get<std::size_t>();
    if (at >= tokens.texts.size()) {
      tokens.texts.resize(at + 1);
      taken.resize(at + 1);
    }
    if (taken[at]) {
      return Refuse("{0}: '{1}' and '{2}' have the same id", vocab.Named(), tokens.texts[at], text);
    }
    taken[at] = true;
    tokens.texts[at] = text;
  }
  return tokens;
}

// [["token", score], ...]
Result<Tokens> ReadVocabularyList(const JsonPlace& model) {
  TATARA_TRY(const JsonPlace vocab, model.Member("vocab"));
  if (!vocab.value().is_array()) return vocab.Expected(MarkText("an array of tokens and scores"));
  if (vocab.value().size() > Vocabulary::kTokensMax) {
    return Refuse("{0}: {1} elements, limit {2}", vocab.Named(), vocab.value().size(),
                  Vocabulary::kTokensMax);
  }
  Tokens tokens;
  for (std::size_t i = 0; i < vocab.value().size(); ++i) {
    const JsonPlace::Json& entry = vocab.value()[i];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return vocab.Element(i).Expected(MarkText("a token and its score"));
    }
    tokens.texts.push_back(entry[0].get<std::string>());
    tokens.scores.push_back(entry[1].get<double>());
  }
  return tokens;
}

Result<std::string> ModelType(const JsonPlace& model) {
  TATARA_TRY(const JsonPlace type, model.Member("type"));
  if (!type.IsNull()) return model.String("type");
  // Files from before models had names.
  TATARA_TRY(const JsonPlace merges, model.Member("merges"));
  if (!merges.IsNull()) return std::string("BPE");
  TATARA_TRY(const JsonPlace vocab, model.Member("vocab"));
  if (vocab.value().is_array()) return std::string("Unigram");
  TATARA_TRY(const JsonPlace prefix, model.Member("continuing_subword_prefix"));
  return std::string(prefix.IsNull() ? "WordLevel" : "WordPiece");
}

Result<BpeModel::Merges> ReadMerges(const JsonPlace& model) {
  TATARA_TRY(const JsonPlace merges, model.Member("merges"));
  if (!merges.value().is_array()) return merges.Expected(MarkText("an array"));
  if (merges.value().size() > BpeModel::kMergesMax) {
    return Refuse("{0}: {1} elements, limit {2}", merges.Named(), merges.value().size(),
                  BpeModel::kMergesMax);
  }
  BpeModel::Merges read;
  read.reserve(merges.value().size());
  for (std::size_t i = 0; i < merges.value().size(); ++i) {
    const JsonPlace::Json& merge = merges.value()[i];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      read.emplace_back(merge[0].get_ref<const std::string&>(),
                        merge[1].get_ref<const std::string&>());
    } else if (merge.is_string()) {
      const std::string_view line = merge.get_ref<const std::string&>();
      const std::size_t space = line.find(' ');
      if (space == line.npos || line.find(' ', space + 1) != line.npos) {
        return merges.Element(i).Expected(MarkText("two pieces with a space between"));
      }
      read.emplace_back(line.substr(0, space), line.substr(space + 1));
    } else {
      return merges.Element(i).Expected(MarkText("two pieces"));
    }
    if (read.back().first.empty() || read.back().second.empty()) {
      return merges.Element(i).Expected(MarkText("two pieces that are not empty"));
    }
  }
  return read;
}

Result<std::unique_ptr<TextModel>> ReadBpe(const JsonPlace& model, const Vocabulary& vocabulary,
                                           const Tokens& tokens, bool over_bytes) {
  TATARA_TRY(const JsonPlace dropout, model.Member("dropout"));
  if (dropout.value().is_number() ? dropout.value().get<double>() != 0 : !dropout.IsNull()) {
    return dropout.Expected(MarkText("no dropout: ids would change from call to call"));
  }
  BpeModel::Options options;
  options.over_bytes = over_bytes;
  TATARA_TRY(options.whole_pieces, model.BoolOr("ignore_merges", false));
  TATARA_TRY(options.byte_fallback, model.BoolOr("byte_fallback", false));
  TATARA_TRY(options.fuse_unknown, model.BoolOr("fuse_unk", false));
  TATARA_TRY(options.continuing_prefix, model.StringOr("continuing_subword_prefix", ""));
  TATARA_TRY(options.end_suffix, model.StringOr("end_of_word_suffix", ""));
  if (!tokens.unknown.empty()) options.unknown_id = vocabulary.Find(tokens.unknown);
  // Affixes and an unknown token go with characters.
  if (over_bytes && (!options.continuing_prefix.empty() || !options.end_suffix.empty())) {
    return model.Expected(MarkText("no affixes where the pre-tokenizer is ByteLevel"));
  }
  TATARA_TRY(const BpeModel::Merges merges, ReadMerges(model));
  TATARA_TRY(std::unique_ptr<BpeModel> made,
             BpeModel::Make(vocabulary, merges, options, "model.merges"));
  return std::unique_ptr<TextModel>(std::move(made));
}

Result<std::unique_ptr<TextModel>> ReadWordPiece(const JsonPlace& model,
                                                 const Vocabulary& vocabulary,
                                                 const Tokens& tokens) {
  WordPieceModel::Options options;
  TATARA_TRY(options.continuing_prefix, model.StringOr("continuing_subword_prefix", "##"));
  TATARA_TRY(const std::int64_t characters_max, model.IntOr("max_input_chars_per_word", 100));
  if (characters_max < 0 ||
      characters_max > static_cast<std::int64_t>(WordPieceModel::kWordCharactersMax)) {
    return Refuse("{0}: {1} elements, limit {2}", model.Named(), characters_max,
                  WordPieceModel::kWordCharactersMax);
  }
  options.word_characters_max = static_cast<std::size_t>(characters_max);
  options.unknown_id = vocabulary.Find(tokens.unknown);
  return std::unique_ptr<TextModel>(std::make_unique<WordPieceModel>(vocabulary, options));
}

// A word is a token or the unknown one: WordPiece without parts.
class WordLevelModel : public TextModel {
 public:
  explicit WordLevelModel(std::int32_t unknown_id) : unknown_id_(unknown_id) {}
  std::unique_ptr<Workspace> MakeWorkspace() const override {
    return std::make_unique<Workspace>();
  }
  void Encode(const Vocabulary& vocabulary, std::string_view piece, Workspace&,
              std::vector<std::int32_t>& ids) const override {
    std::int32_t id = vocabulary.Find(piece);
    if (id < 0 || vocabulary.type(id) != TokenType::kNormal) id = unknown_id_;
    if (id >= 0) ids.push_back(id);
  }

 private:
  std::int32_t unknown_id_;
};

}  // namespace

Result<Tokens> ReadTokens(const JsonPlace& model) {
  TATARA_TRY(const std::string type, ModelType(model));
  const bool known = type == "BPE" || type == "WordPiece" || type == "WordLevel";
  if (type != "Unigram" && !known) return model.Unknown(MarkText("model"), type);
  TATARA_TRY(Tokens tokens,
             type == "Unigram" ? ReadVocabularyList(model) : ReadVocabularyObject(model));
  if (tokens.texts.empty()) return model.Expected(MarkText("a vocabulary"));
  if (type == "Unigram") {
    TATARA_TRY(const std::int64_t id, model.IntOr("unk_id", -1));
    if (id >= static_cast<std::int64_t>(tokens.texts.size()))
      return model.Expected(MarkText("an unk_id"));
    if (id >= 0) tokens.unknown = tokens.texts[static_cast<std::size_t>(id)];
  } else {
    TATARA_TRY(tokens.unknown, model.StringOr("unk_token", known && type != "BPE" ? "[UNK]" : ""));
  }
  tokens.types.assign(tokens.texts.size(), kNormal);
  TATARA_TRY(const bool bytes, model.BoolOr("byte_fallback", false));
  for (std::size_t i = 0; bytes && i < tokens.texts.size(); ++i) {
    const std::string& text = tokens.texts[i];
    if (text.size() == 6 && text.starts_with("<0x") && text.ends_with('>')) {
      tokens.types[i] = static_cast<std::int64_t>(TokenType::kByte);
    }
  }
  return tokens;
}

Result<std::unique_ptr<TextModel>> ReadModel(const JsonPlace& model, const Vocabulary& vocabulary,
                                             const Tokens& tokens, bool over_bytes) {
  TATARA_TRY(const std::string type, ModelType(model));
  if (type == "BPE") return ReadBpe(model, vocabulary, tokens, over_bytes);
  if (over_bytes)
    return model.Expected(MarkText("a BPE model where the pre-tokenizer is ByteLevel"));
  if (type == "WordPiece") return ReadWordPiece(model, vocabulary, tokens);
  const std::int32_t unknown = tokens.unknown.empty() ? -1 : vocabulary.Find(tokens.unknown);
  if (type == "WordLevel") {
    return std::unique_ptr<TextModel>(std::make_unique<WordLevelModel>(unknown));
  }
  TATARA_TRY(const bool byte_fallback, model.BoolOr("byte_fallback", false));
  std::vector<double> scores = tokens.scores;
  scores.resize(static_cast<std::size_t>(vocabulary.size()));
  TATARA_TRY(std::unique_ptr<UnigramModel> made,
             UnigramModel::Make(vocabulary, scores,
                                {.byte_fallback = byte_fallback, .unknown_id = unknown}));
  return std::unique_ptr<TextModel>(std::move(made));
}

}  // namespace tatara::text::huggingface
