#include "regex/code_point_set.h"

#include <unicode/uniset.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "unicode_categories.h"

namespace tatara::text {
namespace {

// Of every general category, in one pass over all code points.
const std::array<CodePointSet, kGeneralCategories>& CategorySets() {
  static const std::array<CodePointSet, kGeneralCategories> sets = [] {
    std::array<std::vector<CodePointSet::Range>, kGeneralCategories> ranges;
    const std::uint8_t* table = GeneralCategoryTable();
    for (char32_t c = 0; c <= CodePointSet::kLast;) {
      const char32_t first = c;
      while (c <= CodePointSet::kLast && table[c] == table[first]) ++c;
      ranges[table[first]].push_back({first, c - 1});
    }
    std::array<CodePointSet, kGeneralCategories> made;
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = CodePointSet::OfRanges(ranges[i]);
    return made;
  }();
  return sets;
}

CodePointSet OfCategory(std::string_view name) {
  CodePointSet set;
  for (int i = 0; i < kGeneralCategories; ++i) {
    if (NameOf(static_cast<GeneralCategory>(i)).starts_with(name)) {
      set.Add(CategorySets()[static_cast<std::size_t>(i)]);
    }
  }
  return set;
}

CodePointSet FromIcu(const icu::UnicodeSet& set) {
  std::vector<CodePointSet::Range> ranges;
  for (int i = 0; i < set.getRangeCount(); ++i) {
    ranges.push_back(
        {static_cast<char32_t>(set.getRangeStart(i)), static_cast<char32_t>(set.getRangeEnd(i))});
  }
  return CodePointSet::OfRanges(std::move(ranges));
}

// CJK Ideographs Extension I, of Unicode 15.1: whether ICU knows it depends on its version.
constexpr CodePointSet::Range kHanExtensionI{0x2EBF0, 0x2EE5D};

std::optional<CodePointSet> OfScript(std::string_view name) {
  const std::string terminated(name);
  const int value = u_getPropertyValueEnum(UCHAR_SCRIPT, terminated.c_str());
  if (value == UCHAR_INVALID_CODE) return std::nullopt;
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeSet set;
  set.applyIntPropertyValue(UCHAR_SCRIPT, value, status);
  if (U_FAILURE(status)) return std::nullopt;
  CodePointSet out = FromIcu(set);
  if (value == USCRIPT_HAN) {
    out.Add(CodePointSet::OfRange(kHanExtensionI.first, kHanExtensionI.last));
  }
  return out;
}

// All that this version of Unicode, or an earlier one, assigned.
std::optional<CodePointSet> OfAge(std::string_view version) {
  if (version.empty() || version.find_first_not_of("0123456789.") != version.npos) {
    return std::nullopt;
  }
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeSet set;
  const std::string pattern = "[:age=" + std::string(version) + ":]";
  set.applyPattern(icu::UnicodeString::fromUTF8(pattern), status);
  if (U_FAILURE(status)) return std::nullopt;
  return FromIcu(set);
}

constexpr auto kLongNames = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"Letter", "L"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"Format", "Cf"},
});

}  // namespace

CodePointSet CodePointSet::OfRange(char32_t first, char32_t last) {
  CodePointSet set;
  set.ranges_.push_back({first, last});
  return set;
}

CodePointSet CodePointSet::OfRanges(std::vector<Range> ranges) {
  CodePointSet set;
  set.ranges_ = std::move(ranges);
  set.Normalise();
  return set;
}

std::optional<CodePointSet> CodePointSet::OfProperty(std::string_view name) {
  if (name == "Any") return OfRange(0, kLast);
  for (const auto& [longer, shorter] : kLongNames) {
    if (name == longer) name = shorter;
  }
  for (int i = 0; i < kGeneralCategories; ++i) {
    const std::string_view category = NameOf(static_cast<GeneralCategory>(i));
    if (name == category || (name.size() == 1 && category.starts_with(name))) {
      return OfCategory(name);
    }
  }
  if (name.starts_with("Age=")) return OfAge(name.substr(4));
  for (const std::string_view prefix : {"Script=", "sc=", "script="}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return OfScript(name);
}

CodePointSet CodePointSet::WhiteSpace() {
  constexpr char32_t kAfterLast = 0x3001;
  std::vector<Range> ranges;
  for (char32_t c = 0; c < kAfterLast; ++c) {
    if (IsWhiteSpace(c)) ranges.push_back({c, c});
  }
  return OfRanges(std::move(ranges));
}

CodePointSet CodePointSet::Word() {
  static const CodePointSet word = [] {
    CodePointSet set = OfCategory("L");
    for (const std::string_view category : {"M", "Nd", "Nl", "Pc"}) set.Add(OfCategory(category));
    // Alphabetic symbols (circled and squared letters), and what Oniguruma adds of Latin 1: raised
    // digits and fractions.
    for (const Range range :
         {Range{0x24B6, 0x24E9}, Range{0x1F130, 0x1F149}, Range{0x1F150, 0x1F169},
          Range{0x1F170, 0x1F189}, Range{0xB2, 0xB3}, Range{0xB9, 0xB9}, Range{0xBC, 0xBE}}) {
      set.Add(OfRange(range.first, range.last));
    }
    return set;
  }();
  return word;
}

CodePointSet CodePointSet::Digit() {
  return OfCategory("Nd");
}

void CodePointSet::Add(const CodePointSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  Normalise();
}

void CodePointSet::Normalise() {
  const auto before = [](const Range& a, const Range& b) { return a.first < b.first; };
  if (!std::is_sorted(ranges_.begin(), ranges_.end(), before)) {
    std::sort(ranges_.begin(), ranges_.end(), before);
  }
  std::size_t n = 0;
  for (const Range& range : ranges_) {
    if (n > 0 && range.first <= ranges_[n - 1].last + 1) {
      ranges_[n - 1].last = std::max(ranges_[n - 1].last, range.last);
    } else {
      ranges_[n++] = range;
    }
  }
  ranges_.resize(n);
}

CodePointSet CodePointSet::Complement() const {
  CodePointSet out;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) out.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) out.ranges_.push_back({next, kLast});
  return out;
}

CodePointSet CodePointSet::Intersection(const CodePointSet& other) const {
  CodePointSet union_of_complements = Complement();
  union_of_complements.Add(other.Complement());
  return union_of_complements.Complement();
}

CodePointSet CodePointSet::CaseClosed() const {
  icu::UnicodeSet set;
  for (const Range& range : ranges_) {
    set.add(static_cast<UChar32>(range.first), static_cast<UChar32>(range.last));
  }
  set.closeOver(USET_CASE_INSENSITIVE).removeAllStrings();
  return FromIcu(set);
}

bool CodePointSet::Contains(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t x, const Range& r) { return x < r.first; });
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

}  // namespace tatara::text
