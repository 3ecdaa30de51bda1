#include "bpe_model.h"

#include <algorithm>

#include "merge_loop.h"
#include "piece_cache.h"
#include "tatara/base/philox.h"
#include "tatara/base/utf8.h"
#include "tatara/text/byte_alphabet.h"

namespace tatara::text {
namespace {

constexpr std::size_t kNeighbourBits = std::size_t{1} << 21;

std::size_t NeighbourIndex(char32_t left, char32_t right) {
  const std::uint64_t pair = static_cast<std::uint64_t>(left) << 32 | right;
  return MixWords(pair ^ 0x9E3779B97F4A7C15u, 0xA0761D6478BD642Fu) & (kNeighbourBits - 1);
}

std::string ByteToken(unsigned char byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

bool IsLineFeeds(std::string_view piece) {
  return piece.find_first_not_of('\n') == std::string_view::npos;
}

}  // namespace

struct BpeModel::Merging {
  using Symbol = std::int32_t;
  const PairTable& merges;
  Merge Find(Symbol left, Symbol right) const { return merges.Find(left, right); }
  Symbol Join(Symbol, Symbol, std::int32_t id) const { return id; }
};

struct BpeModel::Work : TextModel::Workspace {
  PieceCache cache;
  std::vector<std::int32_t> symbols;
  MergeLoop<Merging> loop;

  void Trim() override {
    loop.Trim(kKeptBytesMax);
    if (symbols.capacity() * sizeof(std::int32_t) > kKeptBytesMax) {
      std::vector<std::int32_t>().swap(symbols);
    }
  }
};

BpeModel::~BpeModel() = default;

std::unique_ptr<TextModel::Workspace> BpeModel::MakeWorkspace() const {
  return std::make_unique<Work>();
}

Result<std::unique_ptr<BpeModel>> BpeModel::Make(const Vocabulary& vocabulary, const Merges& merges,
                                                 Options options, std::string_view place) {
  std::unique_ptr<BpeModel> made(new BpeModel(std::move(options)));
  TATARA_RETURN_IF_ERROR(made->ReadBytes(vocabulary));
  TATARA_RETURN_IF_ERROR(made->ReadMerges(vocabulary, merges, place));
  if (!made->options_.over_bytes) made->FillNeighbours(vocabulary, merges);
  return made;
}

// Of a text that may become a token by itself: neither a control token nor one that is looked for
// before merging.
std::int32_t BpeModel::UsableId(const Vocabulary& vocabulary, std::string_view text) const {
  const std::int32_t id = vocabulary.Find(text);
  if (id < 0) return -1;
  const TokenType type = vocabulary.type(id);
  return type == TokenType::kNormal || type == TokenType::kByte ? id : -1;
}

Result<> BpeModel::ReadBytes(const Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    std::int32_t& id = id_of_byte_[static_cast<std::size_t>(byte)];
    if (!options_.over_bytes) {
      id = options_.byte_fallback ? vocabulary.Find(ByteToken(static_cast<unsigned char>(byte)))
                                  : -1;
      lacks_bytes_ |= id < 0;
      continue;
    }
    std::string character;
    AppendUtf8(character, CharacterOfByte(static_cast<unsigned char>(byte)));
    id = vocabulary.Find(character);
    if (id >= 0 && vocabulary.type(id) == TokenType::kControl) {
      return Refuse("{0}: '{1}' entry {2} is the byte {3} and a control token", vocabulary.origin(),
                    "tokenizer.ggml.tokens", id, byte);
    }
    // A user-defined token of that text is found before merging and is no byte.
    if (id >= 0 && vocabulary.type(id) == TokenType::kUserDefined) id = -1;
    lacks_bytes_ |= id < 0;
  }
  return Ok{};
}

Result<> BpeModel::ReadMerges(const Vocabulary& vocabulary, const Merges& merges,
                              std::string_view place) {
  const std::string& origin = vocabulary.origin();
  if (merges.size() > kMergesMax) {
    return Refuse("{0}: '{1}' has {2} entries, limit {3}", origin, place, merges.size(),
                  kMergesMax);
  }
  merges_.Reset(merges.size(), FreshSeed());
  std::string joined;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    std::string_view tail = right;
    if (tail.starts_with(options_.continuing_prefix)) {
      tail.remove_prefix(options_.continuing_prefix.size());
    }
    joined.assign(left).append(tail);
    std::array<std::int32_t, 3> ids;
    const std::array<std::string_view, 3> pieces = {left, right, joined};
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      ids[p] = vocabulary.Find(pieces[p]);
      if (ids[p] < 0) {
        return Refuse("{0}: '{1}' entry {2} has the piece '{3}', which is not in '{4}'", origin,
                      place, i, pieces[p], "tokenizer.ggml.tokens");
      }
      if (vocabulary.type(ids[p]) == TokenType::kControl) {
        return Refuse("{0}: '{1}' entry {2} has the piece '{3}', which is a control token", origin,
                      place, i, pieces[p]);
      }
    }
    if (!merges_.Add(ids[0], ids[1], {static_cast<std::uint32_t>(i), ids[2]})) {
      return Refuse("{0}: '{1}' entry {2} is '{3}', which was there before", origin, place, i,
                    std::string(left) + " " + std::string(right));
    }
  }
  return Ok{};
}

void BpeModel::FillNeighbours(const Vocabulary& vocabulary, const Merges& merges) {
  // With affixes a character's token depends on its place, so pieces stay whole.
  if (!options_.continuing_prefix.empty() || !options_.end_suffix.empty()) return;
  // Where unknown characters vanish, their neighbours can merge.
  if (options_.unknown_id < 0 && lacks_bytes_) return;
  std::vector<bool> filled(kNeighbourBits, false);
  const auto last_character = [](std::string_view text) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & '\xC0') == '\x80') --begin;
    return ReadUtf8(text.substr(begin));
  };
  for (const auto& [left, right] : merges) {
    // A merge of byte tokens, or of the unknown one, joins what the characters do not show.
    for (const std::string_view side : {left, right}) {
      const std::int32_t id = vocabulary.Find(side);
      if (id == options_.unknown_id) return;
      for (const std::int32_t byte_id : id_of_byte_) {
        if (id == byte_id) return;
      }
    }
    const Utf8Sequence before = last_character(left), after = ReadUtf8(right);
    if (!before.valid || !after.valid) return;
    filled[NeighbourIndex(before.code_point, after.code_point)] = true;
  }
  neighbours_ = std::move(filled);
}

bool BpeModel::MayMergeAcross(char32_t left, char32_t right) const {
  return neighbours_[NeighbourIndex(left, right)];
}

std::optional<std::string> BpeModel::Repaired(std::string_view text) const {
  if (!options_.over_bytes || !lacks_bytes_ || IsValidUtf8(text)) return std::nullopt;
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Sequence sequence = ReadUtf8(rest);
    const std::string_view bytes = rest.substr(0, sequence.length);
    const bool known = std::all_of(bytes.begin(), bytes.end(), [&](char c) {
      return id_of_byte_[static_cast<unsigned char>(c)] >= 0;
    });
    out += sequence.valid || known ? bytes : kReplacement;
    rest.remove_prefix(sequence.length);
  }
  return out;
}

void BpeModel::Encode(const Vocabulary& vocabulary, std::string_view piece,
                      TextModel::Workspace& workspace, std::vector<std::int32_t>& ids) const {
  Work& work = static_cast<Work&>(workspace);
  const bool fuses = options_.fuse_unknown && lacks_bytes_;
  const bool whole = options_.whole_pieces || (options_.whole_line_ends && IsLineFeeds(piece));
  if (neighbours_.empty() || fuses || whole) {
    return EncodeStretch(vocabulary, piece, work, ids);
  }
  std::size_t begin = 0;
  Utf8Sequence left = ReadUtf8(piece);
  for (std::size_t at = left.length; at < piece.size();) {
    const Utf8Sequence right = ReadUtf8(piece.substr(at));
    if (!MayMergeAcross(left.code_point, right.code_point)) {
      EncodeStretch(vocabulary, piece.substr(begin, at - begin), work, ids);
      begin = at;
    }
    at += right.length;
    left = right;
  }
  EncodeStretch(vocabulary, piece.substr(begin), work, ids);
}

void BpeModel::EncodeStretch(const Vocabulary& vocabulary, std::string_view piece, Work& work,
                             std::vector<std::int32_t>& ids) const {
  const bool cached = piece.size() <= PieceCache::kBytesMax;
  if (cached) {
    if (const auto known = work.cache.Find(piece); !known.empty()) {
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
  }
  const std::size_t n_before = ids.size();
  const bool whole = options_.whole_pieces || (options_.whole_line_ends && IsLineFeeds(piece));
  if (const std::int32_t id = whole ? WholeId(vocabulary, piece) : -1; id >= 0) {
    ids.push_back(id);
  } else {
    for (std::string_view rest = piece; !rest.empty();) {
      std::size_t length = std::min(rest.size(), kPieceBytesMax);
      if (!options_.over_bytes && length < rest.size()) {  // end with a character
        while (length > 1 && (rest[length] & '\xC0') == '\x80') --length;
      }
      EncodePart(vocabulary, rest.substr(0, length), work, ids);
      rest.remove_prefix(length);
    }
  }
  if (cached) work.cache.Put(piece, std::span(ids).subspan(n_before));
}

std::int32_t BpeModel::WholeId(const Vocabulary& vocabulary, std::string_view piece) const {
  if (piece.size() > Vocabulary::kTokenBytesMax) return -1;
  if (!options_.over_bytes) return UsableId(vocabulary, piece);
  std::string written;
  for (const char c : piece) AppendUtf8(written, CharacterOfByte(static_cast<unsigned char>(c)));
  return UsableId(vocabulary, written);
}

void BpeModel::EncodePart(const Vocabulary& vocabulary, std::string_view part, Work& work,
                          std::vector<std::int32_t>& ids) const {
  work.symbols.clear();
  if (options_.over_bytes) {
    AppendBytes(part, work.symbols);
  } else {
    AppendCharacters(vocabulary, part, work.symbols);
  }
  work.loop.Run(Merging{merges_}, work.symbols);
  ids.insert(ids.end(), work.symbols.begin(), work.symbols.end());
}

void BpeModel::AppendBytes(std::string_view part, std::vector<std::int32_t>& symbols) const {
  for (const char c : part) {
    const std::int32_t id = id_of_byte_[static_cast<unsigned char>(c)];
    if (id >= 0) symbols.push_back(id);
  }
}

// As tokenizers 0.23 does (models/bpe/model.rs, merge_word).
void BpeModel::AppendCharacters(const Vocabulary& vocabulary, std::string_view part,
                                std::vector<std::int32_t>& symbols) const {
  std::string written;
  bool unknown_waits = false;
  for (std::size_t at = 0; at < part.size();) {
    const std::string_view character = part.substr(at, ReadUtf8(part.substr(at)).length);
    const bool first = at == 0;
    at += character.size();
    std::string_view text = character;
    if (!options_.continuing_prefix.empty() || !options_.end_suffix.empty()) {
      written.clear();
      if (!first) written += options_.continuing_prefix;
      written += character;
      if (at == part.size()) written += options_.end_suffix;
      text = written;
    }
    if (const std::int32_t id = UsableId(vocabulary, text); id >= 0) {
      if (unknown_waits) symbols.push_back(options_.unknown_id);
      unknown_waits = false;
      symbols.push_back(id);
      continue;
    }
    const auto id_of = [&](char c) { return id_of_byte_[static_cast<unsigned char>(c)]; };
    if (std::all_of(text.begin(), text.end(), [&](char c) { return id_of(c) >= 0; })) {
      for (const char c : text) symbols.push_back(id_of(c));
      continue;
    }
    if (options_.unknown_id < 0) continue;
    if (unknown_waits && !options_.fuse_unknown) symbols.push_back(options_.unknown_id);
    unknown_waits = true;
  }
  if (unknown_waits) symbols.push_back(options_.unknown_id);
}

}  // namespace tatara::text
