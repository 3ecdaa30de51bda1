// What the two halves of the parser (statements, expressions) share.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace tatara::text::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Template Parse();

 private:
  struct NestingGuard;

  // Tokens.
  const Token& Current() const { return tokens_[at_]; }
  const Token& Ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token Next();
  bool At(TokenKind kind) const { return Current().kind == kind; }
  bool AtOperator(std::string_view op) const;
  bool AtName(std::string_view name) const;
  bool SkipOperator(std::string_view op);
  bool SkipName(std::string_view name);
  void ExpectOperator(std::string_view op);
  void ExpectName(std::string_view name);
  std::string ExpectIdentifier();
  [[noreturn]] void FailUnexpected(std::string_view expected) const;
  NameId Intern(std::string_view name);

  // Statements (parser.cc).
  Body ParseBody(std::initializer_list<std::string_view> ends);
  Body ParseBodyOfTag(std::initializer_list<std::string_view> ends);
  StmtPtr ParseStatement();
  StmtPtr ParseIf();
  StmtPtr ParseFor();
  StmtPtr ParseSet();
  StmtPtr ParseWith();
  StmtPtr ParseMacro();
  StmtPtr ParseCallBlock();
  StmtPtr ParseFilterBlock();
  StmtPtr ParseGeneration();
  StmtPtr ParseLoopControl(StmtKind kind);
  void ParseSignature(MacroDefinition& macro);
  void ParseMacroBody(MacroDefinition& macro, std::string_view end);
  Target ParseTarget(bool with_namespace, std::string_view end_name);
  Target ParseTargetItem(bool with_namespace);

  // Expressions (parser_expressions.cc).
  ExprPtr ParseExpression(bool with_conditional = true);
  ExprPtr ParseTupleOrExpression(bool with_conditional, std::string_view end_name = {});
  ExprPtr ParseConditional();
  ExprPtr ParseOr();
  ExprPtr ParseAnd();
  ExprPtr ParseNot();
  ExprPtr ParseCompare();
  ExprPtr ParseSum();
  ExprPtr ParseConcat();
  ExprPtr ParseProduct();
  ExprPtr ParsePower();
  ExprPtr ParseUnary(bool with_filter);
  ExprPtr ParsePrimary();
  ExprPtr ParseParenthesis();
  ExprPtr ParseNameOrConstant();
  ExprPtr ParseNumber();
  ExprPtr ParseList();
  ExprPtr ParseDict();

  // What follows an operand (parser_postfix.cc).
  ExprPtr ParsePostfix(ExprPtr object);
  ExprPtr ParseFiltersAndTests(ExprPtr input);
  ExprPtr ParseSubscript(ExprPtr object);
  ExprPtr ParseFilter(ExprPtr input);
  ExprPtr ParseTest(ExprPtr input);
  std::unique_ptr<CallArguments> ParseCallArguments();
  std::string ParseDottedName();
  ExprPtr Make(ExprKind kind, int line, std::vector<ExprPtr> operands = {},
               std::unique_ptr<CallArguments> arguments = nullptr);
  ExprPtr MakeText(std::string text, int line);
  template <typename... Operands>
  ExprPtr MakeWith(ExprKind kind, int line, Operands... operands) {
    std::vector<ExprPtr> all;
    (all.push_back(std::move(operands)), ...);
    return Make(kind, line, std::move(all));
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;  // around the current statement, inside the current macro
  std::vector<MacroDefinition*> macros_;
  std::vector<std::string> names_;
  std::map<std::string, NameId, std::less<>> name_ids_;
};

// One level of nesting of the source.
struct Parser::NestingGuard {
  explicit NestingGuard(Parser& parser);
  ~NestingGuard() { --parser_.nesting_; }
  Parser& parser_;
};

}  // namespace tatara::text::jinja
