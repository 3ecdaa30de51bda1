#include "sentencepiece_bpe_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "merge_loop.h"
#include "piece_cache.h"
#include "tatara/base/utf8.h"

namespace tatara::text {
namespace {

constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr std::size_t kNeighbourBits = std::size_t{1} << 21;
constexpr std::size_t kKeptBytesMax = 4
                                      << 20;  // working memory that a call leaves for the next one

// The byte that "<0xAB>" names, or -1.
int ByteNamed(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// The character at the start of `text`; a byte that begins none is taken alone.
Utf8Sequence ReadCharacter(std::string_view text) {
  Utf8Sequence sequence = ReadUtf8(text);
  if (!sequence.valid) sequence.length = 1;
  return sequence;
}

// Appends `text` with U+2581 as a space.
void AppendWithSpaces(std::string_view text, std::string& to) {
  for (std::size_t at; (at = text.find(kSpace)) != text.npos;
       text.remove_prefix(at + kSpace.size())) {
    to.append(text.substr(0, at)).push_back(' ');
  }
  to += text;
}

}  // namespace

struct SentencePieceBpeTokenizer::Merging {
  struct Symbol {
    std::uint32_t begin, end;  // in `text`
    std::int32_t id;           // -1: a character not looked up yet
  };
  const SentencePieceBpeTokenizer& owner;
  std::string_view text;

  Merge Find(const Symbol& left, const Symbol& right) const {
    const std::size_t length = right.end - left.begin;
    if (length > owner.bytes_max_) return {};
    const std::int32_t id = owner.vocabulary().Find(text.substr(left.begin, length));
    if (id < 0) return {};
    return {owner.rank_[static_cast<std::size_t>(id)], id};
  }
  Symbol Join(const Symbol& left, const Symbol& right, std::int32_t id) const {
    return {left.begin, right.end, id};
  }
};

struct SentencePieceBpeTokenizer::Workspace {
  PieceCache cache;
  std::string escaped;
  std::vector<Merging::Symbol> symbols;
  MergeLoop<Merging> loop;

  void Trim() {
    loop.Trim(kKeptBytesMax);
    if (escaped.capacity() > kKeptBytesMax) std::string().swap(escaped);
    if (symbols.capacity() * sizeof symbols[0] > kKeptBytesMax) {
      std::vector<Merging::Symbol>().swap(symbols);
    }
  }
};

SentencePieceBpeTokenizer::SentencePieceBpeTokenizer(Vocabulary vocabulary)
    : VocabularyTokenizer(std::move(vocabulary)) {}

SentencePieceBpeTokenizer::~SentencePieceBpeTokenizer() = default;

Result<std::unique_ptr<Tokenizer>> SentencePieceBpeTokenizer::FromMetadata(
    const Metadata& metadata) {
  TATARA_TRY(Vocabulary vocabulary, Vocabulary::FromMetadata(metadata, {.adds_start = true}));
  std::unique_ptr<SentencePieceBpeTokenizer> made(
      new SentencePieceBpeTokenizer(std::move(vocabulary)));
  if (!metadata.Has(kTypes)) {
    return Refuse("{0}: the key '{1}' is missing or not a list of integers", metadata.origin(),
                  kTypes);
  }
  constexpr std::string_view kCharacterMap = "tokenizer.ggml.precompiled_charsmap";
  if (metadata.Has(kCharacterMap)) {
    return Refuse("{0}: '{1}' is present; this program does not normalise text for '{2}' = '{3}'",
                  metadata.origin(), kCharacterMap, "tokenizer.ggml.model", "llama");
  }
  TATARA_TRY(made->space_prefix_, metadata.BoolOr("tokenizer.ggml.add_space_prefix", true));
  TATARA_RETURN_IF_ERROR(made->ReadScores(metadata));
  TATARA_RETURN_IF_ERROR(made->ReadBytes());
  made->FillNeighbours();
  made->FillTokenBytes([&](std::int32_t id, std::string& to) {
    const std::string_view text = made->vocabulary().text(id);
    if (made->vocabulary().type(id) == TokenType::kByte) {
      to.push_back(static_cast<char>(ByteNamed(text)));
      return;
    }
    AppendWithSpaces(text, to);
  });
  return std::unique_ptr<Tokenizer>(std::move(made));
}

Result<> SentencePieceBpeTokenizer::ReadScores(const Metadata& metadata) {
  const std::vector<double>* scores = metadata.Floats(kScores);
  const auto n = static_cast<std::size_t>(vocabulary().size());
  if (scores == nullptr) {
    return Refuse("{0}: the key '{1}' is missing or not a list of numbers", metadata.origin(),
                  kScores);
  }
  if (scores->size() != n) {
    return Refuse("{0}: '{1}' has {2} entries, '{3}' has {4}", metadata.origin(), kScores,
                  scores->size(), kTokens, n);
  }
  std::vector<std::int32_t> by_score;
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    const double score = (*scores)[static_cast<std::size_t>(id)];
    if (!std::isfinite(score)) {
      return Refuse("{0}: '{1}' entry {2} is {3}, expected a finite number", metadata.origin(),
                    kScores, id, score);
    }
    const std::string_view text = vocabulary().text(id);
    if (vocabulary().type(id) != TokenType::kNormal || text.empty() || !IsValidUtf8(text)) continue;
    by_score.push_back(id);
    bytes_max_ = std::max(bytes_max_, text.size());
  }
  const auto score_of = [&](std::int32_t id) { return (*scores)[static_cast<std::size_t>(id)]; };
  std::sort(by_score.begin(), by_score.end(), [&](std::int32_t a, std::int32_t b) {
    return score_of(a) != score_of(b) ? score_of(a) > score_of(b) : a < b;
  });
  rank_.assign(n, Merge::kNone);
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < by_score.size(); ++i) {
    if (i > 0 && score_of(by_score[i]) != score_of(by_score[i - 1])) ++rank;
    rank_[static_cast<std::size_t>(by_score[i])] = rank;
  }
  return Ok{};
}

Result<> SentencePieceBpeTokenizer::ReadBytes() {
  id_of_byte_.fill(-1);
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    const TokenType type = vocabulary().type(id);
    if (type == TokenType::kControl || type == TokenType::kUserDefined ||
        type == TokenType::kUnknown) {
      special_has_mark_ |= vocabulary().text(id).find(kSpace) != std::string_view::npos;
    }
    if (type != TokenType::kByte) continue;
    const int byte = ByteNamed(vocabulary().text(id));
    if (byte < 0) {
      return Refuse(
          "{0}: '{1}' entry {2} is a byte token but reads '{3}', expected the form <0x0A>",
          vocabulary().origin(), kTokens, id, vocabulary().text(id));
    }
    id_of_byte_[static_cast<std::size_t>(byte)] = id;
  }
  return Ok{};
}

std::size_t SentencePieceBpeTokenizer::NeighbourIndex(char32_t left, char32_t right) {
  const std::uint64_t pair = static_cast<std::uint64_t>(left) << 32 | right;
  return MixWords(pair ^ 0x9E3779B97F4A7C15u, 0xA0761D6478BD642Fu) & (kNeighbourBits - 1);
}

void SentencePieceBpeTokenizer::FillNeighbours() {
  neighbours_.assign(kNeighbourBits, false);
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    if (rank_[static_cast<std::size_t>(id)] == Merge::kNone) continue;
    char32_t left = 0;
    std::string_view rest = vocabulary().text(id);
    for (bool first = true; !rest.empty(); first = false) {
      const Utf8Sequence character = ReadUtf8(rest);
      if (!first) neighbours_[NeighbourIndex(left, character.code_point)] = true;
      left = character.code_point;
      rest.remove_prefix(character.length);
    }
  }
}

// Bytes up to the first place that no merge can reach across.
std::size_t SentencePieceBpeTokenizer::StretchLength(std::string_view text) const {
  Utf8Sequence left = ReadCharacter(text);
  std::size_t length = left.length;
  while (length < text.size() && length < kStretchBytesMax) {
    const Utf8Sequence right = ReadCharacter(text.substr(length));
    // An invalid byte is in no token that merging makes: those are valid UTF-8.
    if (!left.valid || !right.valid) break;
    if (!neighbours_[NeighbourIndex(left.code_point, right.code_point)]) break;
    length += right.length;
    left = right;
  }
  return length;
}

// To SentencePiece both are one character, so runs of spaces that are tokens are found in either
// spelling.
std::string_view SentencePieceBpeTokenizer::Prepare(std::string_view text,
                                                    std::string& changed) const {
  if (special_has_mark_ || text.find(kSpace) == text.npos) return text;
  AppendWithSpaces(text, changed);
  return changed;
}

void SentencePieceBpeTokenizer::EncodeRun(std::string_view text, RunPlace place,
                                          std::vector<std::int32_t>& ids) const {
  auto loan = workspaces_.Borrow([] { return std::make_unique<Workspace>(); });
  Workspace& workspace = *loan;
  std::string& escaped = workspace.escaped;
  escaped.clear();
  if (space_prefix_ && place != RunPlace::kContinues) escaped += kSpace;
  for (const char c : text) {
    if (c == ' ') {
      escaped += kSpace;
    } else {
      escaped += c;
    }
  }
  for (std::string_view rest = escaped; !rest.empty();) {
    const std::size_t length = StretchLength(rest);
    EncodeStretch(rest.substr(0, length), workspace, ids);
    rest.remove_prefix(length);
  }
  workspace.Trim();
}

void SentencePieceBpeTokenizer::EncodeStretch(std::string_view text, Workspace& workspace,
                                              std::vector<std::int32_t>& ids) const {
  if (text.size() <= PieceCache::kBytesMax) {
    if (const auto known = workspace.cache.Find(text); !known.empty()) {
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
  }
  std::vector<Merging::Symbol>& symbols = workspace.symbols;
  symbols.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at + ReadCharacter(text.substr(at)).length;
    symbols.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end), -1});
    at = end;
  }
  workspace.loop.Run(Merging{*this, text}, symbols);
  const std::size_t n_before = ids.size();
  for (const Merging::Symbol& symbol : symbols) {
    const std::string_view part = text.substr(symbol.begin, symbol.end - symbol.begin);
    const std::int32_t id = symbol.id >= 0 ? symbol.id : vocabulary().Find(part);
    if (id >= 0 && rank_[static_cast<std::size_t>(id)] != Merge::kNone) {
      ids.push_back(id);
    } else {
      AppendUnknown(part, ids);
    }
  }
  workspace.cache.Put(text, std::span(ids).subspan(n_before));
}

void SentencePieceBpeTokenizer::AppendUnknown(std::string_view character,
                                              std::vector<std::int32_t>& ids) const {
  const auto id_of = [&](char c) { return id_of_byte_[static_cast<unsigned char>(c)]; };
  if (std::all_of(character.begin(), character.end(), [&](char c) { return id_of(c) >= 0; })) {
    for (const char c : character) ids.push_back(id_of(c));
  } else if (vocabulary().unknown_id() >= 0) {
    ids.push_back(vocabulary().unknown_id());
  }
}

}  // namespace tatara::text
