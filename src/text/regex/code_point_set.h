// Sets of code points as sorted ranges: what a character class of a regular expression holds.
// General categories are those of unicode_categories.h (Unicode 16); scripts and case come from
// ICU. Thread safety: values.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace tatara::text {

class CodePointSet {
 public:
  static constexpr char32_t kLast = 0x10FFFF;
  struct Range {
    char32_t first, last;
    bool operator==(const Range&) const = default;
  };

  CodePointSet() = default;
  static CodePointSet Of(char32_t c) { return OfRange(c, c); }
  static CodePointSet OfRange(char32_t first, char32_t last);
  static CodePointSet OfRanges(std::vector<Range> ranges);
  // A general category ("L", "Lu", "Letter"), "Any", "Age=8.0", or a script ("Han", "Script=Han");
  // nothing for other names.
  static std::optional<CodePointSet> OfProperty(std::string_view name);
  static CodePointSet WhiteSpace();
  static CodePointSet Word();   // as Oniguruma has it
  static CodePointSet Digit();  // Nd

  void Add(const CodePointSet& other);
  CodePointSet Complement() const;
  CodePointSet Intersection(const CodePointSet& other) const;
  // With all that equals a member when case is ignored, character by character.
  CodePointSet CaseClosed() const;

  bool empty() const { return ranges_.empty(); }
  bool Contains(char32_t c) const;
  const std::vector<Range>& ranges() const { return ranges_; }  // ascending, not touching
  bool operator==(const CodePointSet&) const = default;

 private:
  void Normalise();
  std::vector<Range> ranges_;
};

}  // namespace tatara::text
