#include "jinja/parser.h"

#include <algorithm>

#include "jinja/parser_state.h"

namespace tatara::text::jinja {

Template ParseTemplate(std::string_view source) {
  return Parser(Tokenize(source)).Parse();
}

Parser::NestingGuard::NestingGuard(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kNestingMax) {
    --parser_.nesting_;
    Fail(Refuse("chat template, line {0}: nested deeper than {1} levels, the limit",
                parser_.Current().line, kNestingMax));
  }
}

Token Parser::Next() {
  Token token = Current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::AtOperator(std::string_view op) const {
  return At(TokenKind::kOperator) && Current().text == op;
}
bool Parser::AtName(std::string_view name) const {
  return At(TokenKind::kName) && Current().text == name;
}
bool Parser::SkipOperator(std::string_view op) {
  if (!AtOperator(op)) return false;
  Next();
  return true;
}
bool Parser::SkipName(std::string_view name) {
  if (!AtName(name)) return false;
  Next();
  return true;
}
void Parser::ExpectOperator(std::string_view op) {
  if (!SkipOperator(op)) FailUnexpected(op);
}
void Parser::ExpectName(std::string_view name) {
  if (!SkipName(name)) FailUnexpected(name);
}
std::string Parser::ExpectIdentifier() {
  if (!At(TokenKind::kName)) FailUnexpected("name");
  return Next().text;
}

void Parser::FailUnexpected(std::string_view expected) const {
  Fail(Refuse("chat template, line {0}: unexpected '{1}', expected '{2}'", Current().line,
              Describe(Current()), expected));
}

NameId Parser::Intern(std::string_view name) {
  const auto it = name_ids_.find(name);
  if (it != name_ids_.end()) return it->second;
  const NameId id = static_cast<NameId>(names_.size());
  names_.emplace_back(name);
  name_ids_.emplace(std::string(name), id);
  return id;
}

Template Parser::Parse() {
  Template out;
  out.body = ParseBody({});
  out.names = std::move(names_);
  return out;
}

// Up to a statement whose name is one of `ends` (the name is the current token then), or to the end
// of the template where there are none.
Body Parser::ParseBody(std::initializer_list<std::string_view> ends) {
  const NestingGuard guard(*this);
  Body body;
  for (;;) {
    const int line = Current().line;
    switch (Current().kind) {
      case TokenKind::kEnd:
        if (ends.size() != 0) FailUnexpected(*ends.begin());
        return body;
      case TokenKind::kData: {
        auto text = std::make_unique<Stmt>(StmtKind::kText, line);
        text->text = Next().text;
        body.push_back(std::move(text));
        break;
      }
      case TokenKind::kVariableBegin: {
        Next();
        auto print = std::make_unique<Stmt>(StmtKind::kPrint, line);
        print->expr = ParseTupleOrExpression(true);
        if (!At(TokenKind::kVariableEnd)) FailUnexpected("}}");
        Next();
        body.push_back(std::move(print));
        break;
      }
      default:
        Next();
        if (At(TokenKind::kName) &&
            std::find(ends.begin(), ends.end(), Current().text) != ends.end()) {
          return body;
        }
        body.push_back(ParseStatement());
        if (!At(TokenKind::kBlockEnd)) FailUnexpected("%}");
        Next();
    }
  }
}

// The rest of an opening tag, then its body.
Body Parser::ParseBodyOfTag(std::initializer_list<std::string_view> ends) {
  SkipOperator(":");  // as in Python, and allowed by jinja2
  if (!At(TokenKind::kBlockEnd)) FailUnexpected("%}");
  Next();
  return ParseBody(ends);
}

StmtPtr Parser::ParseStatement() {
  if (!At(TokenKind::kName)) FailUnexpected("statement");
  const std::string name = Current().text;
  if (name == "if") return ParseIf();
  if (name == "for") return ParseFor();
  if (name == "set") return ParseSet();
  if (name == "with") return ParseWith();
  if (name == "macro") return ParseMacro();
  if (name == "call") return ParseCallBlock();
  if (name == "filter") return ParseFilterBlock();
  if (name == "generation") return ParseGeneration();
  if (name == "break") return ParseLoopControl(StmtKind::kBreak);
  if (name == "continue") return ParseLoopControl(StmtKind::kContinue);
  Fail(Refuse("chat template, line {0}: the statement '{1}' is not known to this interpreter",
              Current().line, name));
}

StmtPtr Parser::ParseIf() {
  auto out = std::make_unique<Stmt>(StmtKind::kIf, Next().line);
  for (;;) {
    ExprPtr test = ParseTupleOrExpression(false);
    Body body = ParseBodyOfTag({"endif", "elif", "else"});
    out->branches.emplace_back(std::move(test), std::move(body));
    if (SkipName("elif")) continue;
    if (SkipName("else")) out->otherwise = ParseBodyOfTag({"endif"});
    ExpectName("endif");
    return out;
  }
}

StmtPtr Parser::ParseFor() {
  auto out = std::make_unique<Stmt>(StmtKind::kFor, Next().line);
  out->targets.push_back(ParseTarget(false, "in"));
  ExpectName("in");
  out->expr = ParseTupleOrExpression(false, "recursive");
  if (SkipName("if")) out->condition = ParseExpression();
  out->recursive = SkipName("recursive");
  out->loop = Intern("loop");
  ++loops_;
  out->body = ParseBodyOfTag({"endfor", "else"});
  --loops_;
  if (SkipName("else")) out->otherwise = ParseBodyOfTag({"endfor"});
  ExpectName("endfor");
  return out;
}

StmtPtr Parser::ParseSet() {
  const int line = Next().line;
  Target target = ParseTarget(true, {});
  if (SkipOperator("=")) {
    auto out = std::make_unique<Stmt>(StmtKind::kSet, line);
    out->targets.push_back(std::move(target));
    out->expr = ParseTupleOrExpression(true);
    return out;
  }
  auto out = std::make_unique<Stmt>(StmtKind::kSetBlock, line);
  out->targets.push_back(std::move(target));
  while (AtOperator("|")) {
    Next();
    out->expr = ParseFilter(std::move(out->expr));
  }
  const int outer_loops = std::exchange(loops_, 0);
  out->body = ParseBodyOfTag({"endset"});
  loops_ = outer_loops;
  ExpectName("endset");
  return out;
}

StmtPtr Parser::ParseWith() {
  auto out = std::make_unique<Stmt>(StmtKind::kWith, Next().line);
  while (!At(TokenKind::kBlockEnd)) {
    if (!out->targets.empty()) ExpectOperator(",");
    out->targets.push_back(ParseTarget(false, {}));
    ExpectOperator("=");
    out->values.push_back(ParseExpression());
  }
  out->body = ParseBodyOfTag({"endwith"});
  ExpectName("endwith");
  return out;
}

void Parser::ParseSignature(MacroDefinition& macro) {
  ExpectOperator("(");
  while (!AtOperator(")")) {
    if (!macro.parameters.empty()) ExpectOperator(",");
    Target parameter = ParseTargetItem(false);
    if (parameter.kind != Target::Kind::kName) FailUnexpected("name");
    macro.parameters.push_back(parameter.name);
    macro.parameter_names.push_back(parameter.identifier);
    if (SkipOperator("=")) {
      macro.defaults.push_back(ParseExpression());
    } else if (!macro.defaults.empty()) {
      FailUnexpected("=");
    }
  }
  ExpectOperator(")");
}

void Parser::ParseMacroBody(MacroDefinition& macro, std::string_view end) {
  const int outer_loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  macro.body = ParseBodyOfTag({end});
  macros_.pop_back();
  loops_ = outer_loops;
  ExpectName(end);
}

StmtPtr Parser::ParseMacro() {
  auto out = std::make_unique<Stmt>(StmtKind::kMacro, Next().line);
  out->macro = std::make_unique<MacroDefinition>();
  const Target name = ParseTargetItem(false);
  if (name.kind != Target::Kind::kName) FailUnexpected("name");
  out->macro->name = name.identifier;
  out->macro_name = name.name;
  ParseSignature(*out->macro);
  ParseMacroBody(*out->macro, "endmacro");
  return out;
}

StmtPtr Parser::ParseCallBlock() {
  auto out = std::make_unique<Stmt>(StmtKind::kCallBlock, Next().line);
  out->macro = std::make_unique<MacroDefinition>();
  out->macro->name = "caller";
  if (AtOperator("(")) ParseSignature(*out->macro);
  out->expr = ParseExpression();
  if (out->expr->kind != ExprKind::kCall) FailUnexpected("(");
  ParseMacroBody(*out->macro, "endcall");
  return out;
}

StmtPtr Parser::ParseFilterBlock() {
  auto out = std::make_unique<Stmt>(StmtKind::kFilterBlock, Next().line);
  out->expr = ParseFilter(nullptr);
  while (SkipOperator("|")) out->expr = ParseFilter(std::move(out->expr));
  const int outer_loops = std::exchange(loops_, 0);
  out->body = ParseBodyOfTag({"endfilter"});
  loops_ = outer_loops;
  ExpectName("endfilter");
  return out;
}

// Marks what the model generated, for training; the text itself is rendered as it stands, in a
// scope of its own.
StmtPtr Parser::ParseGeneration() {
  auto out = std::make_unique<Stmt>(StmtKind::kGeneration, Next().line);
  const int outer_loops = std::exchange(loops_, 0);
  out->body = ParseBodyOfTag({"endgeneration"});
  loops_ = outer_loops;
  ExpectName("endgeneration");
  return out;
}

StmtPtr Parser::ParseLoopControl(StmtKind kind) {
  const Token token = Next();
  if (loops_ == 0) {
    Fail(Refuse("chat template, line {0}: '{1}' stands outside a loop", token.line, token.text));
  }
  return std::make_unique<Stmt>(kind, token.line);
}

// One name, a tuple of them with or without parentheses, or namespace.attribute.
Target Parser::ParseTarget(bool with_namespace, std::string_view end_name) {
  Target first = ParseTargetItem(with_namespace);
  if (!AtOperator(",")) return first;
  Target out;
  out.kind = Target::Kind::kTuple;
  out.items.push_back(std::move(first));
  while (SkipOperator(",")) {
    const bool at_end = At(TokenKind::kBlockEnd) || AtOperator(")") || AtOperator("=") ||
                        (!end_name.empty() && AtName(end_name));
    if (at_end) break;
    out.items.push_back(ParseTargetItem(with_namespace));
  }
  return out;
}

Target Parser::ParseTargetItem(bool with_namespace) {
  const NestingGuard guard(*this);
  if (SkipOperator("(")) {
    Target out = ParseTarget(with_namespace, {});
    ExpectOperator(")");
    return out;
  }
  Target out;
  const int line = Current().line;
  out.identifier = ExpectIdentifier();
  constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None", "and",
                                            "or",   "not",   "if",   "in",   "is",    "else"};
  if (std::find(std::begin(kReserved), std::end(kReserved), out.identifier) !=
      std::end(kReserved)) {
    Fail(Refuse("chat template, line {0}: '{1}' cannot be assigned to", line, out.identifier));
  }
  out.name = Intern(out.identifier);
  if (with_namespace && SkipOperator(".")) {
    out.kind = Target::Kind::kNamespaceAttribute;
    out.attribute = ExpectIdentifier();
  }
  return out;
}

}  // namespace tatara::text::jinja
