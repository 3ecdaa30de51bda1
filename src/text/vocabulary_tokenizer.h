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
  PairIds EncodePair(std::string_view first, std::string_view second) const override;
  std::string Guard(std::string_view text) const override;
  std::string TokenBytes(std::int32_t id, bool show_special) const override;
  std::string Decode(std::span<const std::int32_t> ids, bool show_special) const override;
  FillTokens fill_tokens() const override { return vocabulary_.fill_tokens(); }
  std::int32_t vocabulary_size() const override { return vocabulary_.size(); }
  bool IsControl(std::int32_t id) const override;
  bool EndsGeneration(std::int32_t id) const override;
  std::int32_t start_id() const override { return vocabulary_.start_id(); }
  std::int32_t end_id() const override { return vocabulary_.end_id(); }
  std::string TokenText(std::int32_t id) const override;

 protected:
  explicit VocabularyTokenizer(Vocabulary vocabulary);

  // What stands around a text, and around two.
  struct Surroundings {
    std::vector<std::int32_t> before, after;
    // of pairs
    std::vector<std::int32_t> pair_before, between, pair_after;
    bool knows_pairs = false;
    bool second_segment = false;  // the second text and what follows it are segment 1
  };
  // Without a call: the start and end tokens that the vocabulary adds.
  void SetSurroundings(Surroundings surroundings) { surroundings_ = std::move(surroundings); }

  // How a special token is found (tokenizer.json's added_tokens).
  struct Finding {
    bool eats_before = false, eats_after = false;  // white space beside it
    bool whole_word = false;                       // not beside letters, digits or _
  };
  void SetFinding(std::int32_t id, Finding finding);
  // Tokens left out here are not looked for before merging.
  void LeaveOut(const std::vector<bool>& left_out);

  // Where a stretch of running text stands: it begins the text, follows a special token, or goes on
  // what was encoded before.
  enum class RunPlace { kStart, kAfterSpecial, kContinues };
  // Ids of running text appended to `ids`: the stretch between two special tokens, or the text's
  // ends.
  virtual void EncodeRun(std::string_view text, RunPlace place,
                         std::vector<std::int32_t>& ids) const = 0;
  // The text as special tokens are looked for in it: `text`, or a changed copy of it in `changed`.
  virtual std::string_view Prepare(std::string_view text, std::string& /*changed*/) const {
    return text;
  }
  // Widens a match by the white space it eats, not before `from`; false where it is no match.
  bool Settle(std::string_view text, std::size_t from, SpecialTokens::Match& match) const;
  // True where the convention puts a space before a text, which decoding takes away again.
  virtual bool HasSpacePrefix() const { return false; }

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Works out once what bytes each token stands for; decoding is then a copy. `append` is called
  // for normal and byte tokens, in order of their ids; a derived class calls this when it is made.
  void FillTokenBytes(FunctionRef<void(std::int32_t id, std::string& to)> append);

 private:
  void Append(std::int32_t id, bool show_special, std::string& to) const;
  void EncodeInside(std::string_view text, const EncodeOptions& options, bool start_was_added,
                    std::vector<std::int32_t>& ids) const;
  // The first special token in text[from...] that does not begin at one of `barred` (ascending), or
  // there the user-defined one.
  SpecialTokens::Match FindUnbarred(std::string_view text, std::size_t from,
                                    std::span<const std::size_t> barred) const;

  Vocabulary vocabulary_;
  SpecialTokens always_;        // user-defined tokens
  SpecialTokens with_special_;  // those, and the control and unknown tokens
  Surroundings surroundings_;
  std::vector<Finding> finding_;  // by id; empty where all are found as they are written
  std::string token_bytes_;       // of all tokens, one after the other
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
