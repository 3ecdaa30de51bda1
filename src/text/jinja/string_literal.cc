#include "jinja/string_literal.h"

#include <algorithm>

#include "jinja/unicode.h"
#include "jinja/value.h"

namespace tatara::text::jinja {
namespace {

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

class Unescaper {
 public:
  Unescaper(std::string_view body, int line) : body_(body), line_(line) {}

  std::string Run() {
    while (at_ < body_.size()) {
      if (body_[at_] != '\\' || at_ + 1 == body_.size()) {
        out_ += body_[at_++];
        continue;
      }
      Escape(body_[at_ + 1]);
    }
    return std::move(out_);
  }

 private:
  void Escape(char c) {
    constexpr std::string_view kFrom = "\\'\"abfnrtv";
    constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const std::size_t simple = kFrom.find(c); simple != std::string_view::npos) {
      out_ += kTo[simple];
      at_ += 2;
    } else if (c == '\n') {
      at_ += 2;  // the line goes on
    } else if (c == 'x' || c == 'u' || c == 'U') {
      Number(at_ + 2, c == 'x' ? 2 : c == 'u' ? 4 : 8, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
    } else if (c >= '0' && c <= '7') {
      Number(at_ + 1, 1, 3, 8);
    } else if (c == 'N') {
      FailEscape(2);
    } else {
      out_ += '\\';  // and the character itself comes next
      ++at_;
    }
  }

  void Number(std::size_t from, std::size_t digits_min, std::size_t digits_max, int base) {
    std::uint32_t code = 0;
    std::size_t n = 0;
    while (n < digits_max && from + n < body_.size() && DigitValue(body_[from + n]) < base) {
      code = code * static_cast<std::uint32_t>(base) +
             static_cast<std::uint32_t>(DigitValue(body_[from + n]));
      ++n;
    }
    if (n < digits_min || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      FailEscape(from - at_ + n);
    AppendUtf8(out_, code);
    at_ = from + n;
  }

  [[noreturn]] void FailEscape(std::size_t length) {
    const int line = line_ + static_cast<int>(std::count(body_.begin(), body_.begin() + at_, '\n'));
    Fail(Refuse("chat template, line {0}: the escape '{1}' in a string is not known", line,
                body_.substr(at_, length)));
  }

  std::string_view body_;
  int line_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string UnescapeLiteral(std::string_view body, int line) {
  return Unescaper(body, line).Run();
}

}  // namespace tatara::text::jinja
