// Byte pair encoding by the ranks of merges (Sennrich, Haddow, Birch 2016; Radford et al. 2019):
// inside a piece, its bytes or characters are merged in the order of the merges.
//
// Over bytes (GPT-2 and its like) a byte that the vocabulary has no token for gives nothing, as in
// Hugging Face's tokenizers; part of an invalid sequence that has such a byte is encoded as U+FFFD.
// Over characters, a character without a token becomes the tokens of its bytes, or the unknown
// token, or nothing. Pieces longer than kPieceBytesMax are cut there.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text_model.h"

namespace tatara::text {

class BpeModel : public TextModel {
 public:
  static constexpr std::size_t kMergesMax = std::size_t{1} << 22;
  // Memory of a call is at most 36 bytes per byte of its longest piece.
  static constexpr std::size_t kPieceBytesMax = std::size_t{16} << 20;

  struct Options {
    bool over_bytes = true;        // tokens are written in the alphabet of byte_alphabet.h
    bool whole_pieces = false;     // a piece that is a token is that token
    bool whole_line_ends = false;  // as above, for pieces of line feeds only
    bool byte_fallback = false;    // over characters: tokens <0x00> to <0xFF>
    bool fuse_unknown = false;     // neighbouring unknown characters are one token
    std::int32_t unknown_id = -1;
    std::string continuing_prefix;  // of every character but a piece's first
    std::string end_suffix;         // of a piece's last character
  };
  using Merges = std::vector<std::pair<std::string_view, std::string_view>>;

  // `place` names where the merges are, in errors.
  static Result<std::unique_ptr<BpeModel>> Make(const Vocabulary& vocabulary, const Merges& merges,
                                                Options options, std::string_view place);
  ~BpeModel() override;

  std::unique_ptr<TextModel::Workspace> MakeWorkspace() const override;
  void Encode(const Vocabulary& vocabulary, std::string_view piece, TextModel::Workspace& workspace,
              std::vector<std::int32_t>& ids) const override;
  bool TakesBytes() const override { return options_.over_bytes; }
  // Of a text for a model over bytes: invalid parts with a byte without a token become U+FFFD.
  std::optional<std::string> Repaired(std::string_view text) const;

 private:
  struct Work;
  struct Merging;

  explicit BpeModel(Options options) : options_(std::move(options)) {}
  Result<> ReadBytes(const Vocabulary& vocabulary);
  Result<> ReadMerges(const Vocabulary& vocabulary, const Merges& merges, std::string_view place);
  void FillNeighbours(const Vocabulary& vocabulary, const Merges& merges);
  bool MayMergeAcross(char32_t left, char32_t right) const;
  void EncodeStretch(const Vocabulary& vocabulary, std::string_view stretch, Work& work,
                     std::vector<std::int32_t>& ids) const;
  void EncodePart(const Vocabulary& vocabulary, std::string_view part, Work& work,
                  std::vector<std::int32_t>& ids) const;
  std::int32_t WholeId(const Vocabulary& vocabulary, std::string_view piece) const;
  void AppendBytes(std::string_view part, std::vector<std::int32_t>& symbols) const;
  void AppendCharacters(const Vocabulary& vocabulary, std::string_view part,
                        std::vector<std::int32_t>& symbols) const;
  std::int32_t UsableId(const Vocabulary& vocabulary, std::string_view text) const;

  Options options_;
  std::array<std::int32_t, 256> id_of_byte_{};  // -1 where the vocabulary lacks it
  bool lacks_bytes_ = false;
  PairTable merges_;
  // Over characters: a bit per hash of two neighbouring characters, set where some merge joins
  // across them. Where it is not set, a piece can be cut without changing the result. Empty where
  // that does not hold.
  std::vector<bool> neighbours_;
};

}  // namespace tatara::text
