// Methods of str, but those that cut and join (methods_text_split.cc).
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/format.h"
#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

using CaseFunction = std::string (*)(std::string_view);

template <CaseFunction kChange>
Value Recase(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "str", arguments, {});
  run.TouchText(self.text().size() * 8);
  return run.String(kChange(self.text()), self.is_safe());
}

// True where the text has characters and all are of the class.
template <CharacterClass kClass>
Value IsAll(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "str", arguments, {});
  run.TouchText(self.text().size() * 4);
  const std::u32string all = ToCodePoints(self.text());
  if (all.empty()) return Value::Bool(kClass == CharacterClass::kPrintable);
  return Value::Bool(
      std::all_of(all.begin(), all.end(), [](char32_t c) { return IsOfClass(c, kClass); }));
}

template <bool kUpper>
Value IsCase(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, kUpper ? "isupper" : "islower", arguments, {});
  run.TouchText(self.text().size() * 4);
  bool cased = false;
  for (const char32_t c : ToCodePoints(self.text())) {
    if (kUpper ? IsLowerCase(c) || IsTitleCase(c) : IsUpperCase(c) || IsTitleCase(c))
      return Value::Bool(false);
    cased = cased || IsUpperCase(c) || IsLowerCase(c);
  }
  return Value::Bool(cased);
}

Value IsAscii(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "isascii", arguments, {});
  return Value::Bool(self.as<StringObject>().ascii);
}

enum class Side { kLeft, kRight, kBoth };

std::string_view StripSide(std::string_view text, Side side) {
  if (side != Side::kRight) text = StripLeft(text);
  if (side != Side::kLeft) text = StripRight(text);
  return text;
}

std::u32string_view StripSet(std::u32string_view text, const std::u32string& set, Side side) {
  const auto in_set = [&set](char32_t c) { return set.find(c) != std::u32string::npos; };
  while (side != Side::kRight && !text.empty() && in_set(text.front())) text.remove_prefix(1);
  while (side != Side::kLeft && !text.empty() && in_set(text.back())) text.remove_suffix(1);
  return text;
}

template <Side kSide>
Value Strip(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "strip", arguments, {"chars"});
  run.TouchText(self.text().size());
  if (!bound.HasAndNotNone(0))
    return run.String(std::string(StripSide(self.text(), kSide)), self.is_safe());
  const std::u32string set = ToCodePoints(bound.Text(0));
  run.TouchText(self.text().size() * (4 + std::min<std::size_t>(set.size(), 4096)));
  const std::u32string all = ToCodePoints(self.text());
  return run.String(FromCodePoints(StripSet(all, set, kSide)), self.is_safe());
}

// The part of the text between two Python indexes, in bytes; false where start lies behind the end.
bool Window(Run& run, const std::string& text, const Bound& bound, std::size_t start_at,
            std::string_view* out, std::int64_t* start_out) {
  run.TouchText(text.size());
  if (!bound.HasAndNotNone(start_at) && !bound.HasAndNotNone(start_at + 1)) {
    *out = text;
    *start_out = 0;
    return true;
  }
  const auto n = static_cast<std::int64_t>(CountCodePoints(text));
  const auto resolve = [n](std::int64_t i) { return i < 0 ? std::max<std::int64_t>(i + n, 0) : i; };
  const std::int64_t start = bound.HasAndNotNone(start_at) ? resolve(bound.Int(start_at, 0)) : 0;
  const std::int64_t stop =
      std::min(bound.HasAndNotNone(start_at + 1) ? resolve(bound.Int(start_at + 1, n)) : n, n);
  if (start > n || start > stop) return false;
  std::size_t from = 0, to = 0;
  std::int64_t seen = -1;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    ++seen;
    if (seen == start) from = i;
    if (seen == stop) to = i;
  }
  *out = std::string_view(text).substr(from, to - from);
  *start_out = start;
  return true;
}

template <bool kEnd>
Value StartsOrEndsWith(Run& run, const Value& self, const Arguments& arguments) {
  const std::string_view name = kEnd ? "endswith" : "startswith";
  const Bound bound(run, name, arguments, {"prefix", "start", "end"}, 1);
  std::string_view text;
  std::int64_t start = 0;
  const bool inside = Window(run, self.text(), bound, 1, &text, &start);
  const auto matches = [&](const Value& affix) {
    if (!affix.IsString()) run.FailType(name, "str", affix);
    return inside && (kEnd ? text.ends_with(affix.text()) : text.starts_with(affix.text()));
  };
  if (!bound[0].Is(Kind::kTuple)) return Value::Bool(matches(bound[0]));
  return Value::Bool(std::any_of(bound[0].items().begin(), bound[0].items().end(), matches));
}

// find, rfind: -1 where there is none; index, rindex: refused then.
template <bool kReverse, bool kMust>
Value Find(Run& run, const Value& self, const Arguments& arguments) {
  const std::string_view name =
      kMust ? (kReverse ? "rindex" : "index") : (kReverse ? "rfind" : "find");
  const Bound bound(run, name, arguments, {"sub", "start", "end"}, 1);
  std::string_view text;
  std::int64_t start = 0;
  const std::string& what = bound.Text(0);
  std::size_t at = std::string_view::npos;
  if (Window(run, self.text(), bound, 1, &text, &start))
    at = kReverse ? text.rfind(what) : text.find(what);
  if (at == std::string_view::npos) {
    if (kMust) Fail(Refuse("chat template, line {0}: '{1}' finds nothing", run.line, name));
    return Value::Int(-1);
  }
  return Value::Int(start + static_cast<std::int64_t>(CountCodePoints(text.substr(0, at))));
}

Value Count(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "count", arguments, {"sub", "start", "end"}, 1);
  std::string_view text;
  std::int64_t start = 0;
  const std::string& what = bound.Text(0);
  if (!Window(run, self.text(), bound, 1, &text, &start)) return Value::Int(0);
  if (what.empty()) return Value::Int(static_cast<std::int64_t>(CountCodePoints(text)) + 1);
  std::int64_t n = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size()))
    ++n;
  return Value::Int(n);
}

template <bool kSuffix>
Value RemoveAffix(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, kSuffix ? "removesuffix" : "removeprefix", arguments, {"affix"}, 1);
  std::string_view text = self.text();
  const std::string& affix = bound.Text(0);
  if (kSuffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kSuffix && text.starts_with(affix)) text.remove_prefix(affix.size());
  return run.String(std::string(text), self.is_safe());
}

std::string Fill(Run& run, std::int64_t count, std::u32string_view fill) {
  if (count <= 0) return {};
  run.Charge(static_cast<std::size_t>(std::min<std::int64_t>(count, std::int64_t{1} << 40)) * 4);
  std::string out;
  for (std::int64_t i = 0; i < count; ++i) AppendUtf8(out, fill[0]);
  return out;
}

template <Side kPadOn>
Value Justify(Run& run, const Value& self, const Arguments& arguments) {
  const std::string_view name = kPadOn == Side::kBoth   ? "center"
                                : kPadOn == Side::kLeft ? "rjust"
                                                        : "ljust";
  const Bound bound(run, name, arguments, {"width", "fillchar"}, 1);
  const std::u32string fill = bound.Has(1) ? ToCodePoints(bound.Text(1)) : U" ";
  if (fill.size() != 1) run.FailType(name, "character", bound[1]);
  const std::int64_t width = bound.Int(0, 0);
  const auto length = static_cast<std::int64_t>(CountCodePoints(self.text()));
  if (width <= length) return self;
  const std::int64_t pad = width - length;
  // str.center puts the odd one on the left where the width is odd.
  const std::int64_t left = kPadOn == Side::kLeft   ? pad
                            : kPadOn == Side::kBoth ? pad / 2 + (pad & width & 1)
                                                    : 0;
  const std::string before = Fill(run, left, fill);
  return run.String(before + self.text() + Fill(run, pad - left, fill), self.is_safe());
}

Value ZeroFill(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "zfill", arguments, {"width"}, 1);
  const std::string& text = self.text();
  const std::int64_t pad = bound.Int(0, 0) - static_cast<std::int64_t>(CountCodePoints(text));
  const std::size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  return run.String(text.substr(0, sign) + Fill(run, pad, U"0") + text.substr(sign),
                    self.is_safe());
}

Value Format(Run& run, const Value& self, const Arguments& arguments) {
  return FormatBraces(run, self, arguments);
}

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"capitalize", Recase<Capitalize>},
    {"casefold", Recase<Fold>},
    {"center", Justify<Side::kBoth>},
    {"count", Count},
    {"endswith", StartsOrEndsWith<true>},
    {"find", Find<false, false>},
    {"format", Format},
    {"index", Find<false, true>},
    {"isalnum", IsAll<CharacterClass::kAlnum>},
    {"isalpha", IsAll<CharacterClass::kAlpha>},
    {"isascii", IsAscii},
    {"isdecimal", IsAll<CharacterClass::kDecimal>},
    {"isdigit", IsAll<CharacterClass::kDigit>},
    {"islower", IsCase<false>},
    {"isnumeric", IsAll<CharacterClass::kNumeric>},
    {"isprintable", IsAll<CharacterClass::kPrintable>},
    {"isspace", IsAll<CharacterClass::kSpace>},
    {"isupper", IsCase<true>},
    {"ljust", Justify<Side::kRight>},
    {"lower", Recase<Lower>},
    {"lstrip", Strip<Side::kLeft>},
    {"removeprefix", RemoveAffix<false>},
    {"removesuffix", RemoveAffix<true>},
    {"rfind", Find<true, false>},
    {"rindex", Find<true, true>},
    {"rjust", Justify<Side::kLeft>},
    {"rstrip", Strip<Side::kRight>},
    {"startswith", StartsOrEndsWith<false>},
    {"strip", Strip<Side::kBoth>},
    {"swapcase", Recase<SwapCase>},
    {"title", Recase<TitleCase>},
    {"upper", Recase<Upper>},
    {"zfill", ZeroFill},
};

}  // namespace

Method FindTextMethod(std::string_view name) {
  for (const auto& [key, method] : kMethods) {
    if (key == name) return method;
  }
  return nullptr;
}

}  // namespace tatara::text::jinja
