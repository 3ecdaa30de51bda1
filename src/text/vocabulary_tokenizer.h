// What all tokenizers over a Vocabulary share: cutting out special tokens, the start token, ids to
// bytes. A kind of tokenizer says how a stretch of running text becomes ids and what bytes each
// token stands for. Thread safety: immutable after construction; Encode and Decode from any thread.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "special_tokens.h"
#include "tatara/base/thread_pool.h"
#include "tatara/text/tokenizer.h"
#include "vocabulary.h"

namespace tatara::text {

class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<std::int32_t> Encode(std::string_view text,
                                   const EncodeOptions& options) const override;
  std::string Guard(std::string_view text) const override;
  std::string TokenBytes(std::int32_t id, bool show_special) const override;
  std::string Decode(std::span<const std::int32_t> ids, bool show_special) const override;
  std::int32_t vocabulary_size() const override { return vocabulary_.size(); }
  bool IsControl(std::int32_t id) const override;
  bool EndsGeneration(std::int32_t id) const override;
  std::int32_t start_id() const override { return vocabulary_.start_id(); }
  std::int32_t end_id() const override { return vocabulary_.end_id(); }
  std::string TokenText(std::int32_t id) const override;

 protected:
  explicit VocabularyTokenizer(Vocabulary vocabulary);

  // Ids of running text appended to `ids`: the stretch between two special tokens, or the text's
  // ends.
  virtual void EncodeRun(std::string_view text, std::vector<std::int32_t>& ids) const = 0;
  // The text as special tokens are looked for in it: `text`, or a changed copy of it in `changed`.
  virtual std::string_view Prepare(std::string_view text, std::string& /*changed*/) const {
    return text;
  }
  // True where the convention puts a space before a text, which decoding takes away again.
  virtual bool HasSpacePrefix() const { return false; }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Works out once what bytes each token stands for; decoding is then a copy. `append` is called
  // for normal and byte tokens, in order of their ids; a derived class calls this when it is made.
  void FillTokenBytes(FunctionRef<void(std::int32_t id, std::string& to)> append);

 private:
  void Append(std::int32_t id, bool show_special, std::string& to) const;
  // The first special token in text[from...] that does not begin at one of `barred` (ascending), or
  // there the user-defined one.
  SpecialTokens::Match FindUnbarred(std::string_view text, std::size_t from,
                                    std::span<const std::size_t> barred) const;

  Vocabulary vocabulary_;
  SpecialTokens always_;        // user-defined tokens
  SpecialTokens with_special_;  // those, and the control and unknown tokens
  std::string token_bytes_;     // of all tokens, one after the other
  std::vector<std::uint32_t> token_ends_;
};

// Working memory for EncodeRun, one per call at work, kept for the next one: caches stay warm and
// no call waits for another. Thread safety: Borrow from any thread.
template <typename T>
class WorkspacePool {
 public:
  static constexpr std::size_t kKeptMax = 16;

  WorkspacePool() { kept_.reserve(kKeptMax); }  // giving back never allocates

  class Loan {
   public:
    Loan(WorkspacePool& pool, std::unique_ptr<T> value) : pool_(pool), value_(std::move(value)) {}
    ~Loan() { pool_.Return(std::move(value_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    T& operator*() { return *value_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<T> value_;
  };

  template <typename Make>
  Loan Borrow(const Make& make) {
    {
      const std::lock_guard lock(mutex_);
      if (!kept_.empty()) {
        std::unique_ptr<T> value = std::move(kept_.back());
        kept_.pop_back();
        return Loan(*this, std::move(value));
      }
    }
    return Loan(*this, make());
  }

 private:
  void Return(std::unique_ptr<T> value) {
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kKeptMax) kept_.push_back(std::move(value));
  }
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> kept_;
};

}  // namespace tatara::text
