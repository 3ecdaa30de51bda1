#include "jinja/lexer.h"

#include <algorithm>
#include <array>

#include "jinja/string_literal.h"
#include "jinja/unicode.h"
#include "jinja/value.h"

namespace tatara::text::jinja {
namespace {

constexpr std::array<std::string_view, 26> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

// \r\n and \r become \n; one newline at the very end goes (keep_trailing_newline is off).
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeNewlines(source)), rest_(source_) {}

  std::vector<Token> Run() {
    while (!rest_.empty()) LexData();
    Emit(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  void Emit(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }

  // Takes n bytes, counting their lines.
  void Skip(std::size_t n) {
    line_ += static_cast<int>(std::count(rest_.begin(), rest_.begin() + n, '\n'));
    if (n > 0) line_starting_ = rest_[n - 1] == '\n';
    rest_.remove_prefix(n);
  }
  void SkipSpace() { Skip(rest_.size() - StripLeft(rest_).size()); }

  // Data up to the next tag, shortened by the tag's own whitespace control, then the tag.
  void LexData() {
    std::size_t at = 0;
    for (;; ++at) {
      at = rest_.find('{', at);
      if (at == std::string_view::npos) {
        EmitData(rest_, rest_.size());
        return;
      }
      if (at + 1 < rest_.size() &&
          std::string_view("%{#").find(rest_[at + 1]) != std::string_view::npos) {
        break;
      }
    }
    const char type = rest_[at + 1];
    const char sign = at + 2 < rest_.size() ? rest_[at + 2] : '\0';
    EmitData(TrimBeforeTag(rest_.substr(0, at), sign, type == '{'), at);
    Skip(sign == '-' || sign == '+' ? 3 : 2);
    switch (type) {
      case '#':
        LexComment();
        break;
      case '{':
        LexTag(TokenKind::kVariableBegin, TokenKind::kVariableEnd, "}}");
        break;
      default:
        if (!LexRaw()) LexTag(TokenKind::kBlockBegin, TokenKind::kBlockEnd, "%}");
    }
  }

  void EmitData(std::string_view text, std::size_t taken) {
    if (!text.empty()) Emit(TokenKind::kData, std::string(text));
    Skip(taken);
  }

  // What stays of the text before a tag: "-" strips all white space, "+" nothing, and without a
  // sign a statement or comment alone on its line takes the spaces before it (lstrip_blocks).
  std::string_view TrimBeforeTag(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return StripRight(text);
    if (sign == '+' || is_variable) return text;
    const std::size_t newline = text.rfind('\n');
    const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    if (start == 0 && !line_starting_) return text;
    if (start == text.size() || !StripLeft(text.substr(start)).empty()) return text;
    return text.substr(0, start);
  }

  // After the end of a statement or comment: "-" takes white space, nothing takes one newline.
  void TrimAfterTag(char sign) {
    if (sign == '-') SkipSpace();
    if (sign == '\0' && rest_.starts_with('\n')) Skip(1);
  }

  void LexComment() {
    const int line = line_;
    const std::size_t end = rest_.find("#}");
    if (end == std::string_view::npos) {
      Fail(Refuse("chat template, line {0}: '{1}' is never closed", line, "{#"));
    }
    const char last = end > 0 ? rest_[end - 1] : '\0';
    Skip(end + 2);
    TrimAfterTag(last == '-' || last == '+' ? last : '\0');
  }

  // {% raw %} ... {% endraw %}; false where the tag is something else. The sign is already taken.
  bool LexRaw() {
    std::string_view look = StripLeft(rest_);
    if (!look.starts_with("raw")) return false;
    look = StripLeft(look.substr(3));
    const bool strip = look.starts_with("-%}");
    if (!strip && !look.starts_with("%}")) return false;
    const int line = line_;
    Skip(static_cast<std::size_t>(look.data() - rest_.data()) + (strip ? 3 : 2));
    if (strip) SkipSpace();
    for (std::size_t at = rest_.find("{%"); at != std::string_view::npos;
         at = rest_.find("{%", at + 1)) {
      std::string_view tag = rest_.substr(at + 2);
      const char sign = !tag.empty() && (tag[0] == '-' || tag[0] == '+') ? tag[0] : '\0';
      if (sign != '\0') tag.remove_prefix(1);
      tag = StripLeft(tag);
      if (!tag.starts_with("endraw")) continue;
      tag = StripLeft(tag.substr(6));
      const char end_sign = !tag.empty() && (tag[0] == '-' || tag[0] == '+') ? tag[0] : '\0';
      if (end_sign != '\0') tag.remove_prefix(1);
      if (!tag.starts_with("%}")) continue;
      const std::size_t end = static_cast<std::size_t>(tag.data() - rest_.data()) + 2;
      EmitData(TrimBeforeTag(rest_.substr(0, at), sign, false), end);
      TrimAfterTag(end_sign);
      return true;
    }
    Fail(Refuse("chat template, line {0}: '{1}' is never closed", line, "raw"));
  }

  void LexTag(TokenKind begin, TokenKind end, std::string_view closer) {
    const std::string opener = begin == TokenKind::kBlockBegin ? "{%" : "{{";
    const int line = line_;
    Emit(begin, opener);
    for (;;) {
      if (rest_.empty())
        Fail(Refuse("chat template, line {0}: '{1}' is never closed", line, opener));
      if (open_.empty()) {
        const char sign = rest_[0] == '-' || (rest_[0] == '+' && closer == "%}") ? rest_[0] : '\0';
        if (rest_.substr(sign == '\0' ? 0 : 1).starts_with(closer)) {
          Emit(end, std::string(closer));
          Skip(closer.size() + (sign == '\0' ? 0 : 1));
          if (closer == "%}") {
            TrimAfterTag(sign);
          } else if (sign == '-') {
            SkipSpace();
          }
          return;
        }
      }
      LexInside();
    }
  }

  // One token, or white space, inside a tag.
  void LexInside() {
    if (const std::size_t space = rest_.size() - StripLeft(rest_).size(); space > 0)
      return Skip(space);
    const char c = rest_[0];
    if (IsDigit(c)) return LexNumber();
    if (c == '\'' || c == '"') return LexString();
    if (c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        static_cast<unsigned char>(c) >= 0x80) {
      return LexName();
    }
    for (const std::string_view op : kOperators) {
      if (!rest_.starts_with(op)) continue;
      Balance(op[0]);
      Emit(TokenKind::kOperator, std::string(op));
      return Skip(op.size());
    }
    Fail(Refuse("chat template, line {0}: unexpected character '{1}'", line_, std::string(1, c)));
  }

  void Balance(char c) {
    if (c == '(' || c == '[' || c == '{') {
      open_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open_.empty() || open_.back() != c) {
        Fail(Refuse("chat template, line {0}: '{1}' closes nothing", line_, std::string(1, c)));
      }
      open_.pop_back();
    }
  }

  // Digits with single underscores between them, from `at`; where they end.
  std::size_t Digits(std::size_t at, std::string_view alphabet) const {
    std::size_t end = at;
    while (end < rest_.size()) {
      const bool joined = rest_[end] == '_' && end > at;
      const std::size_t digit = joined ? end + 1 : end;
      if (digit >= rest_.size() || alphabet.find(rest_[digit]) == std::string_view::npos) break;
      end = digit + 1;
    }
    return end;
  }

  void LexNumber() {
    constexpr std::string_view kDecimal = "0123456789";
    const bool after_dot = !tokens_.empty() && tokens_.back().kind == TokenKind::kOperator &&
                           tokens_.back().text == "." && rest_.data() > source_.data() &&
                           rest_.data()[-1] == '.';
    std::size_t end = Digits(0, kDecimal);
    TokenKind kind = TokenKind::kInteger;
    if (!after_dot) {
      if (end + 1 < rest_.size() && rest_[end] == '.' && IsDigit(rest_[end + 1])) {
        end = Digits(end + 1, kDecimal);
        kind = TokenKind::kFloat;
      }
      if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
        std::size_t exponent = end + 1;
        if (exponent < rest_.size() && (rest_[exponent] == '+' || rest_[exponent] == '-'))
          ++exponent;
        if (exponent < rest_.size() && IsDigit(rest_[exponent])) {
          end = Digits(exponent, kDecimal);
          kind = TokenKind::kFloat;
        }
      }
    }
    if (kind == TokenKind::kInteger && rest_[0] == '0') end = LeadingZeroEnd();
    std::string text(rest_.substr(0, end));
    std::erase(text, '_');
    Emit(kind, std::move(text));
    Skip(end);
  }

  // 0x1F, 0o17, 0b1, or zeros only.
  std::size_t LeadingZeroEnd() const {
    if (rest_.size() > 2) {
      const char base = static_cast<char>(rest_[1] | 0x20);
      const std::string_view alphabet = base == 'x'   ? "0123456789abcdefABCDEF"
                                        : base == 'o' ? "01234567"
                                        : base == 'b' ? "01"
                                                      : "";
      const std::size_t start = rest_[2] == '_' ? 3 : 2;
      const std::size_t end = alphabet.empty() ? start : Digits(start, alphabet);
      if (end > start) return end;
    }
    return Digits(0, "0");
  }

  void LexName() {
    const std::u32string ahead = ToCodePoints(rest_.substr(0, 1024));
    std::size_t n = 0;
    while (n < ahead.size() && (n == 0 ? IsIdentifierStart(ahead[n]) : IsIdentifierPart(ahead[n])))
      ++n;
    if (n == 0) {
      Fail(Refuse("chat template, line {0}: unexpected character '{1}'", line_,
                  FromCodePoints(std::u32string_view(ahead).substr(0, 1))));
    }
    std::string name = FromCodePoints(std::u32string_view(ahead).substr(0, n));
    const std::size_t size = name.size();
    if (size >= 1000)
      Fail(Refuse("chat template, line {0}: a name is longer than {1} bytes", line_, 1000));
    Emit(TokenKind::kName, std::move(name));
    Skip(size);
  }

  void LexString() {
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != rest_[0]) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) {
      Fail(Refuse("chat template, line {0}: '{1}' is never closed", line_, rest_.substr(0, 1)));
    }
    Emit(TokenKind::kString, UnescapeLiteral(rest_.substr(1, end - 1), line_));
    Skip(end + 1);
  }

  const std::string source_;
  std::string_view rest_;
  std::vector<Token> tokens_;
  std::vector<char> open_;  // closers of the brackets now open
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) {
  return Lexer(source).Run();
}

std::string Describe(const Token& token) {
  return token.kind == TokenKind::kEnd ? "end of template" : token.text.substr(0, 80);
}

}  // namespace tatara::text::jinja
