// Texts from memory, and the result of training on them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tatara/corpus/tokenizer_training.h"

namespace tatara::corpus {

class TextsInMemory final : public TextStream {
 public:
  explicit TextsInMemory(std::vector<std::string> texts) : texts_(std::move(texts)) {}
  Result<bool> Next(std::string& text) override {
    if (next_ == texts_.size()) return false;
    text = texts_[next_++];
    return true;
  }
  std::uint64_t bytes_read() const override { return 0; }
  std::uint64_t bytes_total() const override { return 0; }
  const std::vector<Input>& inputs() const override { return inputs_; }

 private:
  std::vector<std::string> texts_;
  std::size_t next_ = 0;
  std::vector<Input> inputs_;
};

inline Result<TrainedTokenizer> Train(std::vector<std::string> texts, const BpeTraining& options) {
  TextsInMemory stream(std::move(texts));
  return TrainBpe(stream, options);
}
inline Result<TrainedTokenizer> Train(std::vector<std::string> texts,
                                      const UnigramTraining& options) {
  TextsInMemory stream(std::move(texts));
  return TrainUnigram(stream, options);
}

inline std::vector<std::string> TokensOf(const TrainedTokenizer& made) {
  return *made.gguf.Strings("tokenizer.ggml.tokens");
}
inline std::vector<std::string> MergesOf(const TrainedTokenizer& made) {
  return *made.gguf.Strings("tokenizer.ggml.merges");
}

}  // namespace tatara::corpus
