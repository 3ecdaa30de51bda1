// Splits a text into the pieces inside which a byte-level vocabulary merges, by the regular
// expressions that the model's authors published, named as `tokenizer.ggml.pre` names them.
//
// Expressions run one after the other: each splits every piece of the one before into its matches
// and the stretches between them (Hugging Face's Sequence of Split(isolated)), and sees nothing
// outside its piece. Thread safety: immutable after ForName; Split from any thread, one Scratch per
// thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"

namespace tatara::text {

class PreTokenizer {
 public:
  // What a call works with; expensive to make, so keep one per thread at work.
  class Scratch {
   public:
    explicit Scratch(const PreTokenizer& owner);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class PreTokenizer;
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

  // Refuses an unknown name, listing the known ones; `origin` names the file.
  static Result<PreTokenizer> ForName(std::string_view name, std::string_view origin);
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Calls `piece` for every piece of `text`, in order; together they are the text. `text` is valid
  // UTF-8.
  void Split(std::string_view text, Scratch& scratch,
             FunctionRef<void(std::string_view piece)> piece) const;

 private:
  struct Stage;
  PreTokenizer();
  void SplitFrom(std::size_t stage, std::string_view shape, Scratch& scratch,
                 FunctionRef<void(std::size_t n_characters)> piece) const;
  std::vector<Stage> stages_;
};

}  // namespace tatara::text
