// Cuts a text into the pieces that a model of tokens sees one by one: steps that run one after the
// other, each on every piece of the one before and on nothing outside it (Hugging Face's Sequence).
// Thread safety: immutable once filled; Split from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "split_regex.h"
#include "tatara/base/error.h"
#include "tatara/base/thread_pool.h"

namespace tatara::text {

class PreTokenizer {
 public:
  static constexpr std::size_t kStepsMax = 64;

  // What becomes of the matches of an expression (and, with `invert`, of what lies between them).
  enum class Behaviour {
    kRemoved,
    kIsolated,            // pieces of their own
    kMergedWithPrevious,  // the end of the piece before
    kMergedWithNext,      // the beginning of the piece after
    kContiguous,          // as isolated, but neighbouring matches are one piece
  };
  enum class Prepend { kAlways, kFirst, kNever };  // kFirst: only at the start of a text

  // Expressions whose matches are isolated, one after the other.
  static Result<PreTokenizer> OfExpressions(const std::vector<std::string_view>& expressions,
                                            std::string_view origin);

  void AddSplit(SplitRegex regex, Behaviour behaviour, bool invert);
  // A space in front of each piece that has none.
  void AddLeadingSpace();
  // Each byte becomes the character of byte_alphabet.h.
  void AddByteAlphabet();
  // Spaces become `mark`, one is put in front where there is none, and pieces begin at marks.
  struct Marks {
    std::string mark;
    Prepend prepend = Prepend::kAlways;
    bool split = true;
  };
  void AddMarks(Marks marks);
  bool empty() const { return steps_.empty(); }

  // Calls `piece` for every piece, in order; none is empty. `at_start`: `text` begins a text.
  void Split(std::string_view text, bool at_start,
             FunctionRef<void(std::string_view piece)> piece) const;

 private:
  using Sink = FunctionRef<void(std::string_view piece)>;
  struct Step {
    enum class Kind { kSplit, kLeadingSpace, kByteAlphabet, kMarks } kind;
    std::vector<SplitRegex> regex;  // one for kSplit
    Behaviour behaviour = Behaviour::kIsolated;
    bool invert = false;
    Marks marks;
  };
  void Run(std::size_t step, std::string_view piece, bool at_start, Sink sink) const;
  void RunSplit(std::size_t step, std::string_view piece, bool at_start, Sink sink) const;
  void RunMarks(std::size_t step, std::string_view piece, bool at_start, Sink sink) const;

  std::vector<Step> steps_;
};

}  // namespace tatara::text
