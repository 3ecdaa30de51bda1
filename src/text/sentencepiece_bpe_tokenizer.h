// SentencePiece-style BPE with byte fallback (`tokenizer.ggml.model` = "llama"): Llama 2, Gemma.
// Spaces become U+2581, the characters of the text are merged so that the union with the highest
// score goes first, leftmost among equals, and a character in no token falls to the tokens of its
// bytes (Kudo and Richardson 2018; bpe_model.cc of SentencePiece).
//
// User-defined tokens (runs of white space and line ends in Gemma) are taken before merging. A
// start and every special token is followed by a space where the file asks for one
// (add_space_prefix), as Hugging Face's Llama tokenizer does. U+2581 in a text can not be told from
// a space afterwards. Thread safety: as Tokenizer.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "vocabulary_tokenizer.h"

namespace tatara::text {

class SentencePieceBpeTokenizer : public VocabularyTokenizer {
 public:
  // A stretch that the vocabulary could merge as one is cut at this length; the memory of a call is
  // at most 52 bytes per byte of it.
  static constexpr std::size_t kStretchBytesMax = std::size_t{16} << 20;

  static Result<std::unique_ptr<Tokenizer>> FromMetadata(const Metadata& metadata);
  ~SentencePieceBpeTokenizer() override;

 protected:
  void EncodeRun(std::string_view text, RunPlace place,
                 std::vector<std::int32_t>& ids) const override;
  std::string_view Prepare(std::string_view text, std::string& changed) const override;
  bool HasSpacePrefix() const override { return space_prefix_; }

 private:
  struct Workspace;
  struct Merging;

  explicit SentencePieceBpeTokenizer(Vocabulary vocabulary);
  Result<> ReadScores(const Metadata& metadata);
  Result<> ReadBytes();
  void FillNeighbours();
  static std::size_t NeighbourIndex(char32_t left, char32_t right);
  std::size_t StretchLength(std::string_view text) const;
  void EncodeStretch(std::string_view text, Workspace& workspace,
                     std::vector<std::int32_t>& ids) const;
  void AppendUnknown(std::string_view character, std::vector<std::int32_t>& ids) const;

  bool space_prefix_ = true;
  bool special_has_mark_ = false;             // some special token is written with U+2581
  std::array<std::int32_t, 256> id_of_byte_;  // -1 where the vocabulary lacks it
  // Of each token that merging may produce its place by descending score, equal scores the same
  // place; Merge::kNone of the others.
  std::vector<std::uint32_t> rank_;
  std::size_t bytes_max_ = 0;  // of such a token
  // A bit per hash of two characters: set where some token has the two side by side. Where it is
  // not set no merge can reach across, so the text is cut there without changing the result.
  std::vector<bool> neighbours_;
  mutable WorkspacePool<Workspace> workspaces_;
};

}  // namespace tatara::text
