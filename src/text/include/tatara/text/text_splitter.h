// Cuts a text into the pieces that a tokenizer's model would see one by one, before there is a
// model: what training a vocabulary counts. The same code cuts when the vocabulary is used, so what
// was learned from is what is met. Thread safety: immutable; Split from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"

namespace tatara::text {

class TextSplitter {
 public:
  // As byte-level vocabularies with that `tokenizer.ggml.pre` do ("gpt-2", "llama-bpe", "qwen2",
  // ...). Refuses a name that is not known, with the nearest.
  static Result<TextSplitter> OfName(std::string_view name, std::string_view origin);
  // The names that OfName takes.
  static std::vector<std::string_view> Names();
  // At spaces, as SentencePiece does: a space is written U+2581 and begins a piece, and one is put
  // in front of the text. Before that the text is brought to `form`: nfc, nfd, nfkc, nfkd or, where
  // empty, none; another one is refused.
  static Result<TextSplitter> AtSpaces(std::string_view form, std::string_view origin);

  TextSplitter(TextSplitter&&) noexcept;
  TextSplitter& operator=(TextSplitter&&) noexcept;
  ~TextSplitter();

  // Calls `piece` for every piece of valid UTF-8, in order; none is empty, all are valid until it
  // returns. `scratch` is the caller's, so that nothing is allocated for each text.
  void Split(std::string_view text, std::string& scratch,
             FunctionRef<void(std::string_view piece)> piece) const;

 private:
  struct Impl;
  explicit TextSplitter(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace tatara::text
