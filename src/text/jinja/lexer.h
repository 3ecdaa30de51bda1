// Template source to tokens: data, and what stands in {{ }} and {% %}. Whitespace control,
// trim_blocks, lstrip_blocks, raw blocks and comments are resolved here, as jinja2 3.1 resolves
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tatara::text::jinja {

enum class TokenKind {
  kData,
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // strings without quotes and escapes; numbers without underscores
};

// Throws Failure. The last token is kEnd.
std::vector<Token> Tokenize(std::string_view source);

// How a token is named in an error.
std::string Describe(const Token& token);

}  // namespace tatara::text::jinja
