// Deterministic automata over classes of code points. A character's class says all that an
// expression asks of it; a symbol is a class together with the truth, at this place, of each
// condition that looks further ahead than one character. Built completely before use, so matching
// is one table look-up per character. Thread safety: immutable.
//
// Two forms: first match in the order of preference that backtracking engines have (an ordered set
// of threads, cut at the first that has matched: Cox, "Regular Expression Matching: the Virtual
// Machine Approach", 2009), and existence, where a run over the text from its end says for every
// place whether the expression matches something that begins there.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "regex/syntax.h"
#include "tatara/base/error.h"

namespace tatara::text::regex {

// Which class each code point belongs to.
class Classes {
 public:
  static constexpr int kClassesMax = 250;

  // The coarsest partition in which every set is a union of classes.
  static Result<Classes> Of(std::span<const CodePointSet> sets, std::string_view origin);

  int size() const { return n_classes_; }
  int ClassOf(char32_t c) const {
    return c < 0x80 ? ascii_[c] : pages_[page_of_[c >> 8]][c & 0xFF];
  }
  // Of a set that the partition was made for.
  std::vector<bool> ClassesIn(const CodePointSet& set) const;

 private:
  int n_classes_ = 0;
  std::array<std::uint8_t, 0x80> ascii_{};
  std::vector<std::uint16_t> page_of_;
  std::vector<std::array<std::uint8_t, 256>> pages_;
  std::vector<char32_t> first_of_class_;
};

struct Program;  // threads' instructions

class Automaton {
 public:
  static constexpr std::size_t kInstructionsMax = 1 << 14;
  static constexpr std::size_t kStatesMax = 1 << 14;
  static constexpr std::size_t kEntriesMax = std::size_t{1} << 22;
  static constexpr std::size_t kStepsMax = std::size_t{1} << 28;  // of building

  struct Options {
    bool existence = false;  // backwards, every end counts
    int n_conditions = 0;    // bits of a symbol beside the class
    std::string_view origin;
  };
  // `node` holds kAhead only where its condition has a number: they are counted in order of the
  // tree. The symbol of a place is condition bits * (classes + 1) + class; the class after the last
  // is the end of the text.
  static Result<Automaton> Build(const Node& node, const Classes& classes, const Options& options);

  // The entry of a state and a symbol: the state after it, and whether a match ends before it.
  struct Entry {
    std::uint32_t bits;
    bool match() const { return (bits & 1) != 0; }
    std::uint32_t next() const { return bits >> 1; }
  };
  static constexpr std::uint32_t kDead = 0;
  Entry At(std::uint32_t state, std::uint32_t symbol) const {
    return {table_[state * n_symbols_ + symbol]};
  }
  // `before` is the class of the character before (existence: after), or the number of classes
  // where there is none.
  std::uint32_t Start(int before) const { return starts_[looks_beside_ ? before : 0]; }
  bool looks_beside() const { return looks_beside_; }

 private:
  friend class Builder;
  std::uint32_t n_symbols_ = 0;
  bool looks_beside_ = false;
  std::vector<std::uint32_t> starts_;
  std::vector<std::uint32_t> table_;
};

}  // namespace tatara::text::regex
