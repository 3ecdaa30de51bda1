// WordPiece: the longest token that begins the word, then the longest that continues it, and so on;
// a word that can not be covered so, or is too long, is the unknown token (Wu et al. 2016; the
// tokenizer of BERT, Devlin et al. 2018). Thread safety: as TextModel.
#pragma once

#include <string>

#include "text_model.h"

namespace tatara::text {

class WordPieceModel : public TextModel {
 public:
  struct Options {
    std::string first_prefix;              // of tokens that begin a word
    std::string continuing_prefix = "##";  // of those that do not
    std::int32_t unknown_id = -1;
    std::size_t word_characters_max = 100;
  };
  static constexpr std::size_t kWordCharactersMax = 1000;  // of the option

  WordPieceModel(const Vocabulary& vocabulary, Options options);
  std::unique_ptr<Workspace> MakeWorkspace() const override;
  void Encode(const Vocabulary& vocabulary, std::string_view piece, Workspace& workspace,
              std::vector<std::int32_t>& ids) const override;

 private:
  struct Work;
  bool Cover(const Vocabulary& vocabulary, std::string_view word, std::string& tried,
             std::vector<std::int32_t>& ids) const;
  Options options_;
  std::size_t token_bytes_max_ = 0;
};

}  // namespace tatara::text
