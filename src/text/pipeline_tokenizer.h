// A tokenizer put together from parts: normaliser, pre-tokenizer, model. Files fill it: GGUF
// (gguf_tokenizer.cc) and tokenizer.json (huggingface_tokenizer.cc). Thread safety: as Tokenizer.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "normalizer.h"
#include "pre_tokenizer.h"
#include "text_model.h"
#include "vocabulary_tokenizer.h"

namespace tatara::text {

class BpeModel;

class PipelineTokenizer : public VocabularyTokenizer {
 public:
  // What a token's text stands for in running text.
  struct Writing {
    bool byte_alphabet = false;      // characters of byte_alphabet.h are bytes
    std::string mark;                // stands for a space, where not empty
    bool byte_tokens = false;        // <0xAB> is a byte
    std::string continuing;          // a token that begins so goes on a word, others begin one
    std::string word_begin;          // instead: a token that begins so begins a word
    std::string end_suffix;          // a token that ends so ends a word
    bool words = false;              // words are divided by spaces
    bool tidies = false;             // no space before . , ! ? and some English endings
    bool drops_first_space = false;  // decoding takes the first space of a text away
    // Of tokenizer.json's decoders that replace text, in order.
    std::vector<std::pair<std::string, std::string>> replacements;
  };
  struct Parts {
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    std::unique_ptr<TextModel> model;
    Writing writing;
    std::optional<Surroundings> surroundings;
    std::vector<std::pair<std::int32_t, Finding>> findings;
    // User-defined tokens that are looked for in normalised text.
    std::vector<std::int32_t> normalised_tokens;
  };
  using VocabularyTokenizer::Finding;
  using VocabularyTokenizer::Surroundings;

  PipelineTokenizer(Vocabulary vocabulary, Parts parts);
  ~PipelineTokenizer() override;

 protected:
  void EncodeRun(std::string_view text, RunPlace place,
                 std::vector<std::int32_t>& ids) const override;
  bool HasSpacePrefix() const override { return parts_.writing.drops_first_space; }

 private:
  void EncodeNormalised(std::string_view text, bool at_start, TextModel::Workspace& workspace,
                        std::vector<std::int32_t>& ids) const;
  void AppendWritten(std::int32_t id, std::string& to) const;
  void AppendPlain(std::string_view text, std::string& to) const;

  Parts parts_;
  const BpeModel* bytes_model_ = nullptr;  // where the model is one over bytes
  SpecialTokens normalised_tokens_;
  bool has_normalised_tokens_ = false;
  mutable WorkspacePool<TextModel::Workspace> workspaces_;
};

}  // namespace tatara::text
