// Methods of str that cut, join and replace.
#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/unicode.h"

namespace tatara::text::jinja {
namespace {

Value Piece(Run& run, const Value& self, std::string_view text) {
  run.Charge(sizeof(Value));
  return run.String(std::string(text), self.is_safe());
}

// At runs of white space, from the left; at most `splits_max` cuts where not negative.
std::vector<Value> SplitSpace(Run& run, const Value& self, std::int64_t splits_max) {
  std::vector<Value> out;
  std::string_view rest = StripLeft(self.text());
  while (!rest.empty()) {
    if (splits_max >= 0 && static_cast<std::int64_t>(out.size()) >= splits_max) {
      out.push_back(Piece(run, self, rest));
      break;
    }
    std::size_t end = 0;
    while (end < rest.size() &&
           StripLeft(rest.substr(end, 4)).size() == std::min<std::size_t>(4, rest.size() - end)) {
      ++end;
      while (end < rest.size() && (static_cast<unsigned char>(rest[end]) & 0xC0) == 0x80) ++end;
    }
    out.push_back(Piece(run, self, rest.substr(0, end)));
    rest = StripLeft(rest.substr(end));
  }
  return out;
}

std::vector<Value> SplitSpaceRight(Run& run, const Value& self, std::int64_t splits_max) {
  std::vector<Value> out;
  std::string_view rest = StripRight(self.text());
  while (!rest.empty()) {
    if (splits_max >= 0 && static_cast<std::int64_t>(out.size()) >= splits_max) {
      out.push_back(Piece(run, self, rest));
      break;
    }
    std::size_t start = rest.size();
    while (start > 0) {
      std::size_t previous = start - 1;
      while (previous > 0 && (static_cast<unsigned char>(rest[previous]) & 0xC0) == 0x80)
        --previous;
      if (StripLeft(rest.substr(previous, start - previous)).empty()) break;
      start = previous;
    }
    out.push_back(Piece(run, self, rest.substr(start)));
    rest = StripRight(rest.substr(0, start));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Value> SplitAt(Run& run, const Value& self, const std::string& separator,
                           std::int64_t splits_max, bool from_right) {
  std::vector<Value> out;
  std::string_view rest = self.text();
  while (splits_max < 0 || static_cast<std::int64_t>(out.size()) < splits_max) {
    const std::size_t at = from_right ? rest.rfind(separator) : rest.find(separator);
    if (at == std::string_view::npos) break;
    out.push_back(
        Piece(run, self, from_right ? rest.substr(at + separator.size()) : rest.substr(0, at)));
    rest = from_right ? rest.substr(0, at) : rest.substr(at + separator.size());
  }
  out.push_back(Piece(run, self, rest));
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

template <bool kRight>
Value Split(Run& run, const Value& self, const Arguments& arguments) {
  const std::string_view name = kRight ? "rsplit" : "split";
  const Bound bound(run, name, arguments, {"sep", "maxsplit"});
  run.TouchText(self.text().size());
  const std::int64_t splits_max = bound.Int(1, -1);
  if (!bound.HasAndNotNone(0)) {
    return run.List(kRight ? SplitSpaceRight(run, self, splits_max)
                           : SplitSpace(run, self, splits_max));
  }
  if (bound.Text(0).empty()) run.FailType(name, "non-empty separator", bound[0]);
  return run.List(SplitAt(run, self, bound.Text(0), splits_max, kRight));
}

template <bool kRight>
Value Partition(Run& run, const Value& self, const Arguments& arguments) {
  const std::string_view name = kRight ? "rpartition" : "partition";
  const Bound bound(run, name, arguments, {"sep"}, 1);
  const std::string_view text = self.text();
  const std::string& separator = bound.Text(0);
  if (separator.empty()) run.FailType(name, "non-empty separator", bound[0]);
  run.TouchText(text.size());
  const std::size_t at = kRight ? text.rfind(separator) : text.find(separator);
  if (at == std::string_view::npos) {
    const Value empty = Piece(run, self, "");
    return kRight ? run.Tuple({empty, empty, self}) : run.Tuple({self, empty, empty});
  }
  return run.Tuple({Piece(run, self, text.substr(0, at)), Piece(run, self, separator),
                    Piece(run, self, text.substr(at + separator.size()))});
}

bool IsLineBreak(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

Value SplitLines(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "splitlines", arguments, {"keepends"});
  run.TouchText(self.text().size() * 4);
  const bool keep = bound.Flag(0);
  const std::u32string all = ToCodePoints(self.text());
  std::vector<Value> out;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i;
    while (end < all.size() && !IsLineBreak(all[end])) ++end;
    std::size_t next = std::min(end + 1, all.size());
    if (end + 1 < all.size() && all[end] == '\r' && all[end + 1] == '\n') ++next;
    const std::size_t length = (keep ? next : end) - i;
    out.push_back(Piece(run, self, FromCodePoints(std::u32string_view(all).substr(i, length))));
    i = next;
  }
  return run.List(std::move(out));
}

Value Join(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "join", arguments, {"iterable"}, 1);
  std::string out;
  bool first = true;
  for (const Value& item : Iterate(run, bound[0], "join")) {
    if (!item.IsString()) run.FailType("join", "str", item);
    const std::string text =
        self.is_safe() && !item.is_safe() ? EscapeHtml(item.text()) : item.text();
    run.Charge(text.size() + self.text().size());
    if (!first) out += self.text();
    first = false;
    out += text;
  }
  return run.String(std::move(out), self.is_safe());
}

Value Replace(Run& run, const Value& self, const Arguments& arguments) {
  const Bound bound(run, "replace", arguments, {"old", "new", "count"}, 2);
  const auto escaped = [&](std::size_t i) {
    const std::string& text = bound.Text(i);
    return self.is_safe() && !bound[i].is_safe() ? EscapeHtml(text) : text;
  };
  return run.String(ReplaceText(run, self.text(), escaped(0), escaped(1), bound.Int(2, -1)),
                    self.is_safe());
}

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"join", Join},
    {"partition", Partition<false>},
    {"replace", Replace},
    {"rpartition", Partition<true>},
    {"rsplit", Split<true>},
    {"split", Split<false>},
    {"splitlines", SplitLines},
};

}  // namespace

std::string ReplaceText(Run& run, const std::string& text, const std::string& from,
                        const std::string& to, std::int64_t count_max) {
  run.TouchText(text.size());
  std::string out;
  std::size_t at = 0;
  const auto append = [&](std::string_view part) {
    run.Charge(part.size());
    out += part;
  };
  for (std::int64_t n = 0; count_max < 0 || n < count_max; ++n) {
    if (from.empty()) {  // between all characters, and at both ends
      if (n > 0) {
        if (at >= text.size()) break;
        std::size_t end = at + 1;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
        append(std::string_view(text).substr(at, end - at));
        at = end;
      }
      append(to);
      continue;
    }
    const std::size_t found = text.find(from, at);
    if (found == std::string::npos) break;
    append(std::string_view(text).substr(at, found - at));
    append(to);
    at = found + from.size();
  }
  append(std::string_view(text).substr(at));
  return out;
}

Method FindTextSplitMethod(std::string_view name) {
  for (const auto& [key, method] : kMethods) {
    if (key == name) return method;
  }
  return nullptr;
}

}  // namespace tatara::text::jinja
