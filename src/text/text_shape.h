// The shape of a text: one byte per character that says what regular expressions of pre-tokenizers
// ask of it. ASCII characters are themselves; any other is 0x80 + its general category, but for
// three characters with a code of their own. Expressions translated to shapes need no UTF-8 and no
// Unicode tables of the regular expression library: they run on 256-bit sets, and give the same
// splits on every machine. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tatara::text {

// Each maximal invalid part of `text` counts as one character, U+FFFD.
// False where the text has such a part.
bool AppendShape(std::string_view text, std::string& shape);

// `expression` in the syntax of the published tokenizer files (PCRE2's with UCP, \s and \S meaning
// Unicode's White_Space) as an expression over shapes. Not every construct: literals are ASCII,
// (?i:...) holds letters and groups, properties are general categories. Others stop the program:
// expressions are this program's own.
std::string ShapeExpression(std::string_view expression);

}  // namespace tatara::text
