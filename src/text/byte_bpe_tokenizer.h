// Byte-level BPE (`tokenizer.ggml.model` = "gpt2"): GPT-2, Qwen, SmolLM and their like. The text is
// split into pieces (pre_tokenizer.h), and inside each the bytes are merged in the order of
// `tokenizer.ggml.merges` (Sennrich, Haddow, Birch 2016; Radford et al. 2019).
//
// A byte that the vocabulary has no token for gives nothing, as in Hugging Face's tokenizers; a
// part of an invalid sequence that has such a byte is encoded as U+FFFD. No normalisation: the text
// is encoded as it stands. Pieces longer than kPieceBytesMax are cut there. Thread safety: as
// Tokenizer.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "pre_tokenizer.h"
#include "vocabulary_tokenizer.h"

namespace tatara::text {

class ByteBpeTokenizer : public VocabularyTokenizer {
 public:
  static constexpr std::size_t kMergesMax = std::size_t{1} << 22;
  // Memory of a call is at most 36 bytes per byte of its longest piece.
  static constexpr std::size_t kPieceBytesMax = std::size_t{16} << 20;

  static Result<std::unique_ptr<Tokenizer>> FromMetadata(const Metadata& metadata);
  ~ByteBpeTokenizer() override;

 protected:
  void EncodeRun(std::string_view text, std::vector<std::int32_t>& ids) const override;

 private:
  struct Workspace;
  struct Merging;

  ByteBpeTokenizer(Vocabulary vocabulary, PreTokenizer pre_tokenizer);
  Result<> ReadBytes();
  Result<> ReadMerges(const Metadata& metadata);
  void AppendBytesOf(std::int32_t id, std::string& to) const;
  void EncodePiece(std::string_view piece, Workspace& workspace,
                   std::vector<std::int32_t>& ids) const;
  // Invalid parts of the text that have a byte without a token become U+FFFD.
  std::string ReplaceInvalidWithoutToken(std::string_view text) const;

  PreTokenizer pre_tokenizer_;
  std::array<std::int32_t, 256> id_of_byte_;  // -1 where the vocabulary lacks it
  bool lacks_bytes_ = false;
  PairTable merges_;
  mutable WorkspacePool<Workspace> workspaces_;
};

}  // namespace tatara::text
