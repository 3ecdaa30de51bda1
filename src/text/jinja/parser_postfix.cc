// What follows an operand: subscripts, calls, filters, tests.
#include "jinja/filters.h"
#include "jinja/parser_state.h"

namespace tatara::text::jinja {

ExprPtr Parser::ParsePostfix(ExprPtr object) {
  for (;;) {
    if (AtOperator(".") || AtOperator("[")) {
      object = ParseSubscript(std::move(object));
    } else if (AtOperator("(")) {
      const int line = Current().line;
      auto arguments = ParseCallArguments();
      std::vector<ExprPtr> callee;
      callee.push_back(std::move(object));
      object = Make(ExprKind::kCall, line, std::move(callee), std::move(arguments));
    } else {
      return object;
    }
  }
}

ExprPtr Parser::ParseFiltersAndTests(ExprPtr input) {
  for (;;) {
    if (SkipOperator("|")) {
      input = ParseFilter(std::move(input));
    } else if (AtName("is")) {
      input = ParseTest(std::move(input));
    } else if (AtOperator("(")) {
      input = ParsePostfix(std::move(input));
    } else {
      return input;
    }
  }
}

ExprPtr Parser::ParseSubscript(ExprPtr object) {
  const int line = Current().line;
  if (SkipOperator(".")) {
    if (At(TokenKind::kInteger)) {
      return MakeWith(ExprKind::kItem, line, std::move(object), ParseNumber());
    }
    if (!At(TokenKind::kName)) FailUnexpected("name");
    std::string name = Next().text;
    ExprPtr out = MakeWith(ExprKind::kAttribute, line, std::move(object));
    out->identifier = std::move(name);
    return out;
  }
  ExpectOperator("[");
  ExprPtr start, stop, step;
  if (!AtOperator(":")) {
    start = ParseExpression();
    if (SkipOperator("]"))
      return MakeWith(ExprKind::kItem, line, std::move(object), std::move(start));
  }
  if (!AtOperator(":")) FailUnexpected("]");
  Next();
  if (!AtOperator(":") && !AtOperator("]")) stop = ParseExpression();
  if (SkipOperator(":") && !AtOperator("]")) step = ParseExpression();
  ExpectOperator("]");
  return MakeWith(ExprKind::kSlice, line, std::move(object), std::move(start), std::move(stop),
                  std::move(step));
}

std::unique_ptr<CallArguments> Parser::ParseCallArguments() {
  const NestingGuard guard(*this);
  ExpectOperator("(");
  auto out = std::make_unique<CallArguments>();
  bool first = true;
  while (!AtOperator(")")) {
    if (!first) {
      ExpectOperator(",");
      if (AtOperator(")")) break;
    }
    first = false;
    const bool named =
        At(TokenKind::kName) && Ahead().kind == TokenKind::kOperator && Ahead().text == "=";
    if (AtOperator("*") && !out->star && !out->double_star) {
      Next();
      out->star = ParseExpression();
    } else if (AtOperator("**") && !out->double_star) {
      Next();
      out->double_star = ParseExpression();
    } else if (named && !out->double_star) {
      std::string name = Next().text;
      Next();
      for (const auto& [other, value] : out->named) {
        if (other == name) FailUnexpected("name");
      }
      out->named.emplace_back(std::move(name), ParseExpression());
    } else if (!out->star && !out->double_star && out->named.empty()) {
      out->positional.push_back(ParseExpression());
    } else {
      FailUnexpected(")");
    }
  }
  ExpectOperator(")");
  return out;
}

std::string Parser::ParseDottedName() {
  std::string name = ExpectIdentifier();
  while (SkipOperator(".")) name += "." + ExpectIdentifier();
  return name;
}

// The bar is already taken. A null input is the captured text of a block.
ExprPtr Parser::ParseFilter(ExprPtr input) {
  const int line = Current().line;
  std::string name = ParseDottedName();
  const FilterFunction filter = FindFilter(name);
  if (filter == nullptr) {
    Fail(Refuse("chat template, line {0}: the filter '{1}' is not known to this interpreter", line,
                name));
  }
  auto arguments = AtOperator("(") ? ParseCallArguments() : std::make_unique<CallArguments>();
  std::vector<ExprPtr> operands;
  operands.push_back(std::move(input));
  ExprPtr out = Make(ExprKind::kFilter, line, std::move(operands), std::move(arguments));
  out->identifier = std::move(name);
  out->filter = filter;
  return out;
}

ExprPtr Parser::ParseTest(ExprPtr input) {
  const NestingGuard guard(*this);
  const int line = Next().line;
  const bool negated = SkipName("not");
  std::string name = ParseDottedName();
  const TestFunction test = FindTest(name);
  if (test == nullptr) {
    Fail(Refuse("chat template, line {0}: the test '{1}' is not known to this interpreter", line,
                name));
  }
  auto arguments = std::make_unique<CallArguments>();
  const bool at_operand =
      At(TokenKind::kString) || At(TokenKind::kInteger) || At(TokenKind::kFloat) ||
      AtOperator("[") || AtOperator("{") ||
      (At(TokenKind::kName) && !AtName("else") && !AtName("or") && !AtName("and"));
  if (AtOperator("(")) {
    arguments = ParseCallArguments();
  } else if (at_operand) {
    if (AtName("is")) FailUnexpected("and");
    arguments->positional.push_back(ParsePostfix(ParsePrimary()));
  }
  std::vector<ExprPtr> operands;
  operands.push_back(std::move(input));
  ExprPtr out = Make(ExprKind::kTest, line, std::move(operands), std::move(arguments));
  out->identifier = std::move(name);
  out->test = test;
  return negated ? MakeWith(ExprKind::kNot, line, std::move(out)) : std::move(out);
}

}  // namespace tatara::text::jinja
