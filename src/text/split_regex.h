// Regular expressions of pre-tokenizers, compiled to automata (regex/): time is linear in the text
// for every expression that a publisher is known to use, and bounded for all.
//
// Matches are those of a backtracking engine that tries alternatives in order; characters are code
// points, and each maximal invalid part of a text counts as U+FFFD. Thread safety: immutable; one
// Search, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::text {

class SplitRegex {
 public:
  // Refuses, naming the construct and its place, what the compiler does not know. `origin` names
  // the file.
  static Result<SplitRegex> Compile(std::string_view expression, std::string_view origin);
  SplitRegex(SplitRegex&&) noexcept;
  SplitRegex& operator=(SplitRegex&&) noexcept;
  ~SplitRegex();

  struct Match {
    std::size_t begin = 0, end = 0;
  };

  // The matches in a text, leftmost first, none overlapping; an empty one is left out where the one
  // before ends there.
  class Search {
   public:
    Search(const SplitRegex& regex, std::string_view text);
    bool Next(Match& match);

   private:
    void FillConditions();
    const SplitRegex& regex_;
    std::string_view text_;
    std::size_t at_ = 0, last_end_ = ~std::size_t{0};
    // Characters that may still be looked at. An expression that reads far beyond its matches again
    // and again would need quadratic time; here its matches end instead.
    std::size_t work_left_;
    std::vector<std::uint8_t> conditions_;  // at each byte that begins a character, and at the end
  };

 private:
  struct Impl;
  explicit SplitRegex(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace tatara::text
