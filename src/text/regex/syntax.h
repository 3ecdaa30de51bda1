// The tree of a regular expression, and the parser that makes it. Syntax: what the published
// tokenizer files use, read as Oniguruma's Ruby syntax reads it (Hugging Face's tokenizers):
// literals, classes with && and nesting, \p{...}, \s \d \w, groups, (?i),
// alternation, greedy, lazy and possessive repetition, look-ahead, look-behind of one character,
// ^ $ \A \z \b. Back references, atomic groups and longer look-behind are refused by name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "regex/code_point_set.h"
#include "tatara/base/error.h"

namespace tatara::text::regex {

inline constexpr std::size_t kExpressionBytesMax = 1 << 16;
inline constexpr int kRepeatMax = 2000;
inline constexpr int kDepthMax = 100;
inline constexpr int kUnbounded = -1;

struct Node {
  enum class Kind {
    kEmpty,
    kSet,     // one character of `set`
    kConcat,  // children in order
    kAlternate,
    kRepeat,  // child 0, min to max times
    kBeside,  // no character: the next (or with `behind` the previous) one is in `set`, or there is
              // none and `edge`
    kAhead,   // no character: child 0 matches from here; with `negated`, it does not
  };
  Kind kind = Kind::kEmpty;
  CodePointSet set;
  std::vector<Node> children;
  int min = 0, max = 0;
  bool lazy = false, behind = false, edge = false, negated = false;
};

Result<Node> Parse(std::string_view expression, std::string_view origin);

}  // namespace tatara::text::regex
