// What one template and one rendering may cost. Templates come inside model files, so they are as
// untrusted as any input: whatever they do ends within these bounds.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tatara::text::jinja {

// The longest template seen in the field has 20 KiB.
inline constexpr std::size_t kSourceBytesMax = 1 << 20;
// Nesting of expressions and statements in the source; Python's own compiler ends at 200
// parentheses.
inline constexpr int kNestingMax = 150;
// Depth of the syntax tree, where chains such as a + b + c grow to the left.
inline constexpr int kTreeDepthMax = 400;
// Evaluation levels on the stack: expressions, statements and macro calls together. Measured with
// AddressSanitizer, where a level costs most, 1,500 levels stay below 4 MiB of stack.
inline constexpr int kEvaluationDepthMax = 1500;
// Nesting of values (JSON context, lists of lists) that printing and comparing follow.
inline constexpr int kValueDepthMax = 200;
// One step is a node evaluated, an element made, or 64 bytes of text touched.
inline constexpr std::uint64_t kStepsMax = 20'000'000;
inline constexpr std::size_t kTextBytesPerStep = 64;
// Everything a rendering allocates until it ends.
inline constexpr std::size_t kMemoryBytesMax = std::size_t{256} << 20;
inline constexpr std::size_t kOutputBytesMax = std::size_t{32} << 20;
inline constexpr std::size_t kContextBytesMax = std::size_t{64} << 20;
// As jinja2's sandbox has it.
inline constexpr std::int64_t kRangeLengthMax = 100'000;

}  // namespace tatara::text::jinja
