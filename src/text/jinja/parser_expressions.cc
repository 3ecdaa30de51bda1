#include <algorithm>
#include <charconv>

#include "jinja/number.h"
#include "jinja/parser_state.h"

namespace tatara::text::jinja {

ExprPtr Parser::Make(ExprKind kind, int line, std::vector<ExprPtr> operands,
                     std::unique_ptr<CallArguments> arguments) {
  auto out = std::make_unique<Expr>(kind, line);
  int below = 0;
  const auto measure = [&below](const ExprPtr& e) {
    if (e) below = std::max(below, e->depth);
  };
  for (const ExprPtr& e : operands) measure(e);
  if (arguments) {
    for (const ExprPtr& e : arguments->positional) measure(e);
    for (const auto& [name, e] : arguments->named) measure(e);
    measure(arguments->star);
    measure(arguments->double_star);
  }
  out->depth = below + 1;
  if (out->depth > kTreeDepthMax) {
    Fail(Refuse("chat template, line {0}: nested deeper than {1} levels, the limit", line,
                kTreeDepthMax));
  }
  out->operands = std::move(operands);
  out->arguments = std::move(arguments);
  return out;
}

ExprPtr Parser::MakeText(std::string text, int line) {
  ExprPtr out = Make(ExprKind::kConst, line);
  out->text = std::make_unique<StringObject>(std::move(text), false);
  out->constant = Value(Kind::kString, out->text.get());
  return out;
}

ExprPtr Parser::ParseExpression(bool with_conditional) {
  const NestingGuard guard(*this);
  return with_conditional ? ParseConditional() : ParseOr();
}

// a, b, c without parentheses; one expression stays itself.
ExprPtr Parser::ParseTupleOrExpression(bool with_conditional, std::string_view end_name) {
  const int line = Current().line;
  const auto at_end = [&] {
    return At(TokenKind::kVariableEnd) || At(TokenKind::kBlockEnd) || AtOperator(")") ||
           (!end_name.empty() && AtName(end_name));
  };
  if (at_end()) FailUnexpected("expression");
  ExprPtr first = ParseExpression(with_conditional);
  if (!AtOperator(",")) return first;
  std::vector<ExprPtr> items;
  items.push_back(std::move(first));
  while (SkipOperator(",") && !at_end()) items.push_back(ParseExpression(with_conditional));
  return Make(ExprKind::kTuple, line, std::move(items));
}

// value if test else other; without else it is undefined where the test fails.
ExprPtr Parser::ParseConditional() {
  ExprPtr value = ParseOr();
  while (AtName("if")) {
    const int line = Next().line;
    ExprPtr test = ParseOr();
    ExprPtr other;
    if (SkipName("else")) {
      const NestingGuard guard(*this);
      other = ParseConditional();
    }
    value =
        MakeWith(ExprKind::kConditional, line, std::move(test), std::move(value), std::move(other));
  }
  return value;
}

ExprPtr Parser::ParseOr() {
  ExprPtr left = ParseAnd();
  while (AtName("or")) {
    const int line = Next().line;
    left = MakeWith(ExprKind::kOr, line, std::move(left), ParseAnd());
  }
  return left;
}

ExprPtr Parser::ParseAnd() {
  ExprPtr left = ParseNot();
  while (AtName("and")) {
    const int line = Next().line;
    left = MakeWith(ExprKind::kAnd, line, std::move(left), ParseNot());
  }
  return left;
}

ExprPtr Parser::ParseNot() {
  if (!AtName("not")) return ParseCompare();
  const NestingGuard guard(*this);
  const int line = Next().line;
  return MakeWith(ExprKind::kNot, line, ParseNot());
}

ExprPtr Parser::ParseCompare() {
  constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::kEqual},  {"!=", CompareOp::kNotEqual},
      {"<", CompareOp::kLess},    {"<=", CompareOp::kLessEqual},
      {">", CompareOp::kGreater}, {">=", CompareOp::kGreaterEqual}};
  const int line = Current().line;
  std::vector<ExprPtr> operands;
  std::vector<CompareOp> comparisons;
  operands.push_back(ParseSum());
  for (;;) {
    const auto op = std::find_if(std::begin(kOps), std::end(kOps),
                                 [&](const auto& entry) { return AtOperator(entry.first); });
    if (op != std::end(kOps)) {
      Next();
      comparisons.push_back(op->second);
    } else if (SkipName("in")) {
      comparisons.push_back(CompareOp::kIn);
    } else if (AtName("not") && Ahead().kind == TokenKind::kName && Ahead().text == "in") {
      Next();
      Next();
      comparisons.push_back(CompareOp::kNotIn);
    } else {
      break;
    }
    operands.push_back(ParseSum());
  }
  if (comparisons.empty()) return std::move(operands[0]);
  ExprPtr out = Make(ExprKind::kCompare, line, std::move(operands));
  out->comparisons = std::move(comparisons);
  return out;
}

ExprPtr Parser::ParseSum() {
  ExprPtr left = ParseConcat();
  while (AtOperator("+") || AtOperator("-")) {
    const Token op = Next();
    left = MakeWith(ExprKind::kBinary, op.line, std::move(left), ParseConcat());
    left->binary = op.text == "+" ? BinaryOp::kAdd : BinaryOp::kSubtract;
  }
  return left;
}

ExprPtr Parser::ParseConcat() {
  const int line = Current().line;
  std::vector<ExprPtr> parts;
  parts.push_back(ParseProduct());
  while (SkipOperator("~")) parts.push_back(ParseProduct());
  if (parts.size() == 1) return std::move(parts[0]);
  return Make(ExprKind::kConcat, line, std::move(parts));
}

ExprPtr Parser::ParseProduct() {
  constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::kMultiply},
                                                            {"/", BinaryOp::kDivide},
                                                            {"//", BinaryOp::kFloorDivide},
                                                            {"%", BinaryOp::kModulo}};
  ExprPtr left = ParsePower();
  for (;;) {
    const auto op = std::find_if(std::begin(kOps), std::end(kOps),
                                 [&](const auto& entry) { return AtOperator(entry.first); });
    if (op == std::end(kOps)) return left;
    const int line = Next().line;
    left = MakeWith(ExprKind::kBinary, line, std::move(left), ParsePower());
    left->binary = op->second;
  }
}

// Chains are read from the left, unlike Python's.
ExprPtr Parser::ParsePower() {
  ExprPtr left = ParseUnary(true);
  while (AtOperator("**")) {
    const int line = Next().line;
    left = MakeWith(ExprKind::kBinary, line, std::move(left), ParseUnary(true));
    left->binary = BinaryOp::kPower;
  }
  return left;
}

// Filters bind tighter than a sign's operand is long: -1|abs is (-1)|abs.
ExprPtr Parser::ParseUnary(bool with_filter) {
  ExprPtr out;
  if (AtOperator("-") || AtOperator("+")) {
    const NestingGuard guard(*this);
    const Token op = Next();
    out = MakeWith(op.text == "-" ? ExprKind::kNegative : ExprKind::kPositive, op.line,
                   ParseUnary(false));
  } else {
    out = ParsePrimary();
  }
  out = ParsePostfix(std::move(out));
  return with_filter ? ParseFiltersAndTests(std::move(out)) : std::move(out);
}

ExprPtr Parser::ParsePrimary() {
  const int line = Current().line;
  switch (Current().kind) {
    case TokenKind::kName:
      return ParseNameOrConstant();
    case TokenKind::kString: {
      std::string text = Next().text;
      while (At(TokenKind::kString)) text += Next().text;
      return MakeText(std::move(text), line);
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return ParseNumber();
    case TokenKind::kOperator:
      if (AtOperator("(")) return ParseParenthesis();
      if (AtOperator("[")) return ParseList();
      if (AtOperator("{")) return ParseDict();
      break;
    default:
      break;
  }
  FailUnexpected("expression");
}

ExprPtr Parser::ParseParenthesis() {
  const int line = Next().line;
  if (SkipOperator(")")) return Make(ExprKind::kTuple, line);
  ExprPtr out = ParseTupleOrExpression(true);
  ExpectOperator(")");
  return out;
}

ExprPtr Parser::ParseNameOrConstant() {
  const Token token = Next();
  ExprPtr out = Make(ExprKind::kConst, token.line);
  if (token.text == "true" || token.text == "True") {
    out->constant = Value::Bool(true);
  } else if (token.text == "false" || token.text == "False") {
    out->constant = Value::Bool(false);
  } else if (token.text == "none" || token.text == "None") {
    out->constant = Value::None();
  } else {
    out->kind = ExprKind::kName;
    out->identifier = token.text;
    out->name = Intern(token.text);
    for (MacroDefinition* macro : macros_) {
      const auto& own = macro->parameter_names;
      if (std::find(own.begin(), own.end(), token.text) != own.end()) continue;
      if (token.text == "caller") macro->caller = out->name;
      if (token.text == "varargs") macro->varargs = out->name;
      if (token.text == "kwargs") macro->kwargs = out->name;
    }
  }
  return out;
}

ExprPtr Parser::ParseNumber() {
  const Token token = Next();
  ExprPtr out = Make(ExprKind::kConst, token.line);
  const std::string& text = token.text;
  if (token.kind == TokenKind::kFloat) {
    double real = 0;
    ParsePythonFloat(text, &real);
    out->constant = Value::Float(real);
    return out;
  }
  const char prefix = text.size() > 2 ? static_cast<char>(text[1] | 0x20) : '\0';
  const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
  const char* from = text.data() + (base == 10 ? 0 : 2);
  std::int64_t integer = 0;
  const auto [end, status] = std::from_chars(from, text.data() + text.size(), integer, base);
  if (status == std::errc()) {
    out->constant = Value::Int(integer);
    return out;
  }
  if (base != 10) {
    Fail(Refuse("chat template, line {0}: '{1}' leaves the range of 64-bit integers", token.line,
                text));
  }
  out->text = std::make_unique<StringObject>(text, false);
  out->constant = Value(Kind::kBigInt, out->text.get());
  return out;
}

ExprPtr Parser::ParseList() {
  const int line = Next().line;
  std::vector<ExprPtr> items;
  while (!AtOperator("]")) {
    if (!items.empty()) ExpectOperator(",");
    if (AtOperator("]")) break;
    items.push_back(ParseExpression());
  }
  ExpectOperator("]");
  return Make(ExprKind::kList, line, std::move(items));
}

ExprPtr Parser::ParseDict() {
  const int line = Next().line;
  std::vector<ExprPtr> entries;
  while (!AtOperator("}")) {
    if (!entries.empty()) ExpectOperator(",");
    if (AtOperator("}")) break;
    entries.push_back(ParseExpression());
    ExpectOperator(":");
    entries.push_back(ParseExpression());
  }
  ExpectOperator("}");
  return Make(ExprKind::kDict, line, std::move(entries));
}

}  // namespace tatara::text::jinja
