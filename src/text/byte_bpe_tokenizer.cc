#include "byte_bpe_tokenizer.h"

#include <algorithm>

#include "byte_alphabet.h"
#include "merge_loop.h"
#include "piece_cache.h"
#include "tatara/base/philox.h"
#include "utf8.h"

namespace tatara::text {
namespace {

constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::size_t kKeptBytesMax = 4
                                      << 20;  // working memory that a call leaves for the next one

}  // namespace

struct ByteBpeTokenizer::Merging {
  using Symbol = std::int32_t;
  const PairTable& merges;
  Merge Find(Symbol left, Symbol right) const { return merges.Find(left, right); }
  Symbol Join(Symbol, Symbol, std::int32_t id) const { return id; }
};

struct ByteBpeTokenizer::Workspace {
  explicit Workspace(const PreTokenizer& pre_tokenizer) : scratch(pre_tokenizer) {}
  PreTokenizer::Scratch scratch;
  PieceCache cache;
  std::vector<std::int32_t> symbols;
  MergeLoop<Merging> loop;

  void Trim() {
    loop.Trim(kKeptBytesMax);
    if (symbols.capacity() * sizeof(std::int32_t) > kKeptBytesMax) {
      std::vector<std::int32_t>().swap(symbols);
    }
  }
};

ByteBpeTokenizer::ByteBpeTokenizer(Vocabulary vocabulary, PreTokenizer pre_tokenizer)
    : VocabularyTokenizer(std::move(vocabulary)), pre_tokenizer_(std::move(pre_tokenizer)) {}

ByteBpeTokenizer::~ByteBpeTokenizer() = default;

Result<std::unique_ptr<Tokenizer>> ByteBpeTokenizer::FromMetadata(const Metadata& metadata) {
  TATARA_TRY(Vocabulary vocabulary,
             Vocabulary::FromMetadata(metadata, /*adds_start_otherwise=*/false));
  TATARA_TRY(const std::string pre, metadata.StringOr("tokenizer.ggml.pre", "default"));
  TATARA_TRY(PreTokenizer pre_tokenizer, PreTokenizer::ForName(pre, metadata.origin()));
  std::unique_ptr<ByteBpeTokenizer> made(
      new ByteBpeTokenizer(std::move(vocabulary), std::move(pre_tokenizer)));
  TATARA_RETURN_IF_ERROR(made->ReadBytes());
  TATARA_RETURN_IF_ERROR(made->ReadMerges(metadata));
  made->FillTokenBytes([&](std::int32_t id, std::string& to) { made->AppendBytesOf(id, to); });
  return std::unique_ptr<Tokenizer>(std::move(made));
}

Result<> ByteBpeTokenizer::ReadBytes() {
  for (int byte = 0; byte < 256; ++byte) {
    std::string character;
    AppendUtf8(character, CharacterOfByte(static_cast<unsigned char>(byte)));
    const std::int32_t id = vocabulary().Find(character);
    // A user-defined token of that text is found before merging and is no byte.
    const bool usable = id >= 0 && vocabulary().type(id) != TokenType::kUserDefined;
    if (usable && vocabulary().type(id) == TokenType::kControl) {
      return Refuse("{0}: '{1}' entry {2} is the byte {3} and a control token",
                    vocabulary().origin(), "tokenizer.ggml.tokens", id, byte);
    }
    id_of_byte_[static_cast<std::size_t>(byte)] = usable ? id : -1;
    lacks_bytes_ |= !usable;
  }
  return Ok{};
}

Result<> ByteBpeTokenizer::ReadMerges(const Metadata& metadata) {
  const std::string& origin = vocabulary().origin();
  const std::vector<std::string>* merges = metadata.Strings(kMerges);
  if (merges == nullptr) {
    return Refuse("{0}: the key '{1}' is missing or not a list of texts", origin, kMerges);
  }
  if (merges->size() > kMergesMax) {
    return Refuse("{0}: '{1}' has {2} entries, limit {3}", origin, kMerges, merges->size(),
                  kMergesMax);
  }
  merges_.Reset(merges->size(), FreshSeed());
  std::string joined;
  for (std::size_t i = 0; i < merges->size(); ++i) {
    const std::string_view merge = (*merges)[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
      return Refuse("{0}: '{1}' entry {2} is '{3}', expected two pieces with a space between",
                    origin, kMerges, i, merge);
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    std::array<std::int32_t, 3> ids;
    const std::array<std::string_view, 3> pieces = {merge.substr(0, space), merge.substr(space + 1),
                                                    joined};
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      ids[p] = vocabulary().Find(pieces[p]);
      if (ids[p] < 0) {
        return Refuse("{0}: '{1}' entry {2} has the piece '{3}', which is not in '{4}'", origin,
                      kMerges, i, pieces[p], "tokenizer.ggml.tokens");
      }
      if (vocabulary().type(ids[p]) == TokenType::kControl) {
        return Refuse("{0}: '{1}' entry {2} has the piece '{3}', which is a control token", origin,
                      kMerges, i, pieces[p]);
      }
    }
    if (!merges_.Add(ids[0], ids[1], {static_cast<std::uint32_t>(i), ids[2]})) {
      return Refuse("{0}: '{1}' entry {2} is '{3}', which was there before", origin, kMerges, i,
                    merge);
    }
  }
  return Ok{};
}

void ByteBpeTokenizer::AppendBytesOf(std::int32_t id, std::string& to) const {
  const std::size_t begin = to.size();
  for (std::string_view rest = vocabulary().text(id); !rest.empty();) {
    const Utf8Sequence sequence = ReadUtf8(rest);
    const auto byte = sequence.valid ? ByteOfCharacter(sequence.code_point) : std::nullopt;
    if (!byte) {  // not written in the alphabet: the text itself, as Hugging Face decodes it
      to.resize(begin);
      to += vocabulary().text(id);
      return;
    }
    to.push_back(static_cast<char>(*byte));
    rest.remove_prefix(sequence.length);
  }
}

void ByteBpeTokenizer::EncodeRun(std::string_view text, std::vector<std::int32_t>& ids) const {
  auto loan = workspaces_.Borrow([&] { return std::make_unique<Workspace>(pre_tokenizer_); });
  Workspace& workspace = *loan;
  std::string replaced;
  if (lacks_bytes_ && !IsValidUtf8(text)) {
    replaced = ReplaceInvalidWithoutToken(text);
    text = replaced;
  }
  pre_tokenizer_.Split(text, workspace.scratch,
                       [&](std::string_view piece) { EncodePiece(piece, workspace, ids); });
  workspace.Trim();
}

void ByteBpeTokenizer::EncodePiece(std::string_view piece, Workspace& workspace,
                                   std::vector<std::int32_t>& ids) const {
  const bool cached = piece.size() <= PieceCache::kBytesMax;
  if (cached) {
    if (const auto known = workspace.cache.Find(piece); !known.empty()) {
      ids.insert(ids.end(), known.begin(), known.end());
      return;
    }
  }
  for (std::string_view rest = piece; !rest.empty();) {
    const std::string_view part = rest.substr(0, kPieceBytesMax);
    rest.remove_prefix(part.size());
    workspace.symbols.clear();
    for (const char c : part) {
      const std::int32_t id = id_of_byte_[static_cast<unsigned char>(c)];
      if (id >= 0) workspace.symbols.push_back(id);
    }
    workspace.loop.Run(Merging{merges_}, workspace.symbols);
    ids.insert(ids.end(), workspace.symbols.begin(), workspace.symbols.end());
  }
  if (cached) workspace.cache.Put(piece, workspace.symbols);
}

std::string ByteBpeTokenizer::ReplaceInvalidWithoutToken(std::string_view text) const {
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

}  // namespace tatara::text
