// SentencePiece's unigram model: of all ways to write a piece as tokens, the one whose scores have
// the highest sum (Kudo 2018; unigram_model.cc of SentencePiece). A character that no token stands
// for alone may be the unknown token, at 10 below the lowest score. Of equal sums the one whose
// last token is longest stays. Sums are of double. Thread safety: as TextModel.
#pragma once

#include <span>

#include "special_tokens.h"
#include "text_model.h"

namespace tatara::text {

class UnigramModel : public TextModel {
 public:
  static constexpr std::size_t kTokenBytesMax = 512;  // bounds the work for each character
  // Memory of a call is at most 16 bytes per byte of its longest stretch.
  static constexpr std::size_t kStretchBytesMax = std::size_t{16} << 20;

  struct Options {
    bool fuse_unknown = true;  // neighbouring unknown characters are one token
    bool byte_fallback = false;
    std::int32_t unknown_id = -1;
  };
  // `scores` has one for each token. Normal tokens are found, and user-defined ones at score 0.
  static Result<std::unique_ptr<UnigramModel>> Make(const Vocabulary& vocabulary,
                                                    std::span<const double> scores,
                                                    const Options& options);
  std::unique_ptr<Workspace> MakeWorkspace() const override;
  void Encode(const Vocabulary& vocabulary, std::string_view piece, Workspace& workspace,
              std::vector<std::int32_t>& ids) const override;

 private:
  struct Work;
  explicit UnigramModel(const Options& options) : options_(options) {}
  // `n_before`: ids that were there before the piece.
  void EncodeStretch(std::string_view stretch, std::size_t n_before, Work& work,
                     std::vector<std::int32_t>& ids) const;
  void AppendUnknown(std::string_view text, std::size_t n_before,
                     std::vector<std::int32_t>& ids) const;

  Options options_;
  SpecialTokens tokens_;
  std::vector<double> score_;
  double unknown_score_ = 0;
  std::vector<std::int32_t> id_of_byte_;  // empty without byte tokens for all
  // A bit per hash of two neighbouring characters, set where some token has them side by side.
  std::vector<bool> neighbours_;
};

}  // namespace tatara::text
