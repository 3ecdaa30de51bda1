// Filters on texts.
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/print.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

using CaseFunction = std::string (*)(std::string_view);

template <CaseFunction kChange>
Value Recase(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "filter", arguments, {});
  const Value text = SoftString(run, input);
  run.TouchText(text.text().size() * 8);
  return run.String(kChange(text.text()), text.is_safe());
}

// Upper case after white space and opening marks, lower case elsewhere.
std::string TitleWords(std::string_view text) {
  std::string out;
  std::u32string word;
  const auto flush = [&] {
    if (word.empty()) return;
    out += Upper(FromCodePoints(std::u32string_view(word).substr(0, 1)));
    out += Lower(FromCodePoints(std::u32string_view(word).substr(1)));
    word.clear();
  };
  for (const char32_t c : ToCodePoints(text)) {
    if (IsSpace(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                       std::string_view::npos)) {
      flush();
      AppendUtf8(out, c);
    } else {
      word.push_back(c);
    }
  }
  flush();
  return out;
}

Value Trim(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "trim", arguments, {"chars"});
  Arguments chars;
  if (bound.HasAndNotNone(0)) chars.positional.push_back(bound[0]);
  return FindTextMethod("strip")(run, SoftString(run, input), chars);
}

Value Replace(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "replace", arguments, {"old", "new", "count"}, 2);
  const std::int64_t count = bound.HasAndNotNone(2) ? bound.Int(2, -1) : -1;
  return run.String(
      ReplaceText(run, ToText(run, input), ToText(run, bound[0]), ToText(run, bound[1]), count));
}

Value String(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "string", arguments, {});
  return SoftString(run, input);
}

Value Safe(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "safe", arguments, {});
  return run.String(ToText(run, input), true);
}

Value Escape(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "escape", arguments, {});
  if (input.is_safe()) return input;
  const std::string text = ToText(run, input);
  run.Charge(text.size() * 5);
  return run.String(EscapeHtml(text), true);
}

Value ForceEscape(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "forceescape", arguments, {});
  const std::string text = ToText(run, input);
  run.Charge(text.size() * 5);
  return run.String(EscapeHtml(text), true);
}

Value Indent(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "indent", arguments, {"width", "first", "blank"});
  if (!input.IsString()) run.FailType("indent", "str", input);
  std::string pad(4, ' ');
  if (bound.Has(0)) {
    if (bound[0].IsString()) {
      pad = bound[0].text();
    } else {
      const std::int64_t width = std::max<std::int64_t>(bound.Int(0, 4), 0);
      run.Charge(static_cast<std::size_t>(width));
      pad.assign(static_cast<std::size_t>(width), ' ');
    }
  }
  const bool blank = bound.Flag(2);
  Arguments none;
  const Value lines = FindTextSplitMethod("splitlines")(run, run.String(input.text() + "\n"), none);
  std::string out;
  for (std::size_t i = 0; i < lines.items().size(); ++i) {
    const std::string& line = lines.items()[i].text();
    run.Charge(line.size() + pad.size() + 1);
    if (i > 0) out += '\n';
    if ((i > 0 || bound.Flag(1)) && (blank || !line.empty() || i == 0)) out += pad;
    out += line;
  }
  return run.String(std::move(out), input.is_safe());
}

Value Center(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "center", arguments, {"width"});
  Arguments width;
  width.positional.push_back(bound.Or(0, Value::Int(80)));
  return FindTextMethod("center")(run, SoftString(run, input), width);
}

Value Format(Run& run, const Value& input, const Arguments& arguments) {
  const Value format = SoftString(run, input);
  if (!arguments.named.empty()) {
    if (!arguments.positional.empty()) run.FailUnsupported("format with both kinds of arguments");
    auto* dict = run.Make<DictObject>();
    for (const auto& [name, value] : arguments.named) dict->Set(run.String(name), value);
    return FormatPercent(run, format, Value(Kind::kDict, dict));
  }
  return FormatPercent(run, format, run.Tuple(arguments.positional));
}

Value WordCount(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "wordcount", arguments, {});
  const std::string text = ToText(run, input);
  run.TouchText(text.size() * 4);
  std::int64_t words = 0;
  bool inside = false;
  for (const char32_t c : ToCodePoints(text)) {
    const bool word = c == '_' || IsOfClass(c, CharacterClass::kAlnum);
    words += word && !inside;
    inside = word;
  }
  return Value::Int(words);
}

Value Truncate(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "truncate", arguments, {"length", "killwords", "end", "leeway"});
  const std::int64_t length = bound.Int(0, 255);
  const std::int64_t leeway = bound.HasAndNotNone(3) ? bound.Int(3, 5) : 5;
  const std::u32string end = bound.Has(2) ? ToCodePoints(bound.Text(2)) : U"...";
  if (length < static_cast<std::int64_t>(end.size()) || leeway < 0)
    run.FailType("truncate", "greater length", bound.Or(0, Value::Int(length)));
  if (static_cast<std::int64_t>(Length(run, input, "truncate")) - leeway <= length) return input;
  if (!input.IsString()) run.FailType("truncate", "str", input);
  run.TouchText(input.text().size() * 4);
  const std::u32string all = ToCodePoints(input.text());
  std::u32string cut = all.substr(0, static_cast<std::size_t>(length) - end.size());
  if (!bound.Flag(1)) {
    const std::size_t space = cut.rfind(U' ');
    if (space != std::u32string::npos) cut.resize(space);
  }
  return run.String(FromCodePoints(cut + end), input.is_safe());
}

Value UrlEncode(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "urlencode", arguments, {});
  if (!input.IsString() && !input.IsNumber()) run.FailUnsupported("urlencode of a collection");
  const std::string text = ToText(run, input);
  run.Charge(text.size() * 3);
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-_.~/").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += "0123456789ABCDEF"[static_cast<unsigned char>(c) >> 4];
      out += "0123456789ABCDEF"[static_cast<unsigned char>(c) & 15];
    }
  }
  return run.String(std::move(out));
}

// As Hugging Face's chat templates have it: json.dumps without HTML escapes.
Value ToJsonFilter(Run& run, const Value& input, const Arguments& arguments) {
  const Bound bound(run, "tojson", arguments,
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.Flag(0);
  style.sort_keys = bound.Flag(3);
  if (bound.HasAndNotNone(1)) {
    style.indented = true;
    style.item_separator = ",";
    if (bound[1].IsString()) {
      style.indent = bound[1].text();
    } else {
      const std::int64_t width = std::max<std::int64_t>(bound.Int(1, 0), 0);
      run.Charge(static_cast<std::size_t>(width));
      style.indent.assign(static_cast<std::size_t>(width), ' ');
    }
  }
  if (bound.HasAndNotNone(2)) {
    const std::vector<Value> separators = Iterate(run, bound[2], "tojson");
    if (separators.size() != 2 || !separators[0].IsString() || !separators[1].IsString()) {
      run.FailType("tojson", "two separators", bound[2]);
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return run.String(ToJson(run, input, style));
}

constexpr FilterEntry kFilters[] = {
    {"capitalize", Recase<Capitalize>},
    {"center", Center},
    {"e", Escape},
    {"escape", Escape},
    {"forceescape", ForceEscape},
    {"format", Format},
    {"indent", Indent},
    {"lower", Recase<Lower>},
    {"replace", Replace},
    {"safe", Safe},
    {"string", String},
    {"title", Recase<TitleWords>},
    {"tojson", ToJsonFilter},
    {"trim", Trim},
    {"truncate", Truncate},
    {"upper", Recase<Upper>},
    {"urlencode", UrlEncode},
    {"wordcount", WordCount},
};

}  // namespace

std::span<const FilterEntry> TextFilters() {
  return kFilters;
}

}  // namespace tatara::text::jinja
