#include "jinja/eval.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace tatara::text::jinja {

Value Evaluator::Evaluate(const Expr& expr, Scope& scope) {
  const Level level(run_);
  run_.Step();
  run_.line = expr.line;
  const auto operand = [&](std::size_t i) { return Evaluate(*expr.operands[i], scope); };
  switch (expr.kind) {
    case ExprKind::kConst:
      return expr.constant;
    case ExprKind::kName:
      return EvaluateName(expr, scope);
    case ExprKind::kTuple:
      return run_.Tuple(EvaluateAll(expr.operands, scope));
    case ExprKind::kList:
      return run_.List(EvaluateAll(expr.operands, scope));
    case ExprKind::kDict:
      return EvaluateDict(expr, scope);
    case ExprKind::kNot:
      return Value::Bool(!IsTrue(operand(0)));
    case ExprKind::kNegative:
      return Negate(run_, operand(0));
    case ExprKind::kPositive:
      return Positive(run_, operand(0));
    case ExprKind::kBinary: {
      const Value a = operand(0);
      const Value b = operand(1);
      run_.line = expr.line;
      return Arithmetic(run_, expr.binary, a, b);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      const Value a = operand(0);
      return IsTrue(a) == (expr.kind == ExprKind::kOr) ? a : operand(1);
    }
    case ExprKind::kCompare:
      return EvaluateCompare(expr, scope);
    case ExprKind::kConcat:
      return EvaluateConcat(expr, scope);
    case ExprKind::kConditional:
      return EvaluateConditional(expr, scope);
    case ExprKind::kAttribute: {
      const Value object = operand(0);
      run_.line = expr.line;
      return GetAttribute(run_, object, expr.identifier);
    }
    case ExprKind::kItem: {
      const Value object = operand(0);
      const Value key = operand(1);
      run_.line = expr.line;
      return GetItem(run_, object, key);
    }
    case ExprKind::kSlice:
      return EvaluateSlice(expr, scope);
    case ExprKind::kCall:
      return EvaluateCall(expr, scope);
    case ExprKind::kFilter:
      return EvaluateFilter(expr, scope);
    case ExprKind::kTest:
      return EvaluateTest(expr, scope);
  }
  return Value();
}

std::vector<Value> Evaluator::EvaluateAll(const std::vector<ExprPtr>& exprs, Scope& scope) {
  std::vector<Value> out;
  out.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) out.push_back(Evaluate(*expr, scope));
  return out;
}

Value Evaluator::EvaluateName(const Expr& expr, Scope& scope) {
  for (Scope* s = &scope; s != nullptr; s = s->parent) {
    if (const Value* found = s->FindHere(expr.name)) return *found;
  }
  return run_.Undefined(UndefinedObject::Why::kName, expr.identifier);
}

Value Evaluator::EvaluateDict(const Expr& expr, Scope& scope) {
  auto* dict = run_.Make<DictObject>();
  for (std::size_t i = 0; i < expr.operands.size(); i += 2) {
    const Value key = Evaluate(*expr.operands[i], scope);
    RequireHashable(run_, key);
    run_.Charge(128);
    dict->Set(key, Evaluate(*expr.operands[i + 1], scope));
  }
  return Value(Kind::kDict, dict);
}

// a < b < c compares neighbours and stops at the first that fails.
Value Evaluator::EvaluateCompare(const Expr& expr, Scope& scope) {
  Value left = Evaluate(*expr.operands[0], scope);
  for (std::size_t i = 0; i < expr.comparisons.size(); ++i) {
    const Value right = Evaluate(*expr.operands[i + 1], scope);
    run_.line = expr.line;
    if (!Compare(run_, expr.comparisons[i], left, right)) return Value::Bool(false);
    left = right;
  }
  return Value::Bool(true);
}

Value Evaluator::EvaluateConcat(const Expr& expr, Scope& scope) {
  std::string out;
  for (const ExprPtr& part : expr.operands) {
    const Value value = Evaluate(*part, scope);
    const std::string text = ToText(run_, value);
    run_.Charge(text.size());
    out += text;
  }
  return run_.String(std::move(out));
}

Value Evaluator::EvaluateConditional(const Expr& expr, Scope& scope) {
  if (IsTrue(Evaluate(*expr.operands[0], scope))) return Evaluate(*expr.operands[1], scope);
  if (expr.operands[2]) return Evaluate(*expr.operands[2], scope);
  return Value();
}

Value Evaluator::EvaluateSlice(const Expr& expr, Scope& scope) {
  Value parts[4];
  for (std::size_t i = 0; i < 4; ++i) {
    if (!expr.operands[i]) continue;
    parts[i] = Evaluate(*expr.operands[i], scope);
    if (i > 0 && parts[i].IsUndefined()) run_.FailUndefined(parts[i]);
  }
  run_.line = expr.line;
  if (parts[0].IsUndefined()) run_.FailUndefined(parts[0]);
  return GetSlice(run_, parts[0], parts[1], parts[2], parts[3]);
}

Arguments Evaluator::EvaluateArguments(const CallArguments& arguments, Scope& scope) {
  Arguments out;
  out.positional = EvaluateAll(arguments.positional, scope);
  for (const auto& [name, expr] : arguments.named)
    out.named.emplace_back(name, Evaluate(*expr, scope));
  if (arguments.star) {
    for (const Value& v : Iterate(run_, Evaluate(*arguments.star, scope), "*"))
      out.positional.push_back(v);
  }
  if (arguments.double_star) {
    const Value dict = Evaluate(*arguments.double_star, scope);
    if (!dict.Is(Kind::kDict)) run_.FailType("**", "dict", dict);
    for (const auto& [key, value] : dict.as<DictObject>().entries) {
      if (!key.IsString()) run_.FailType("**", "str", key);
      out.named.emplace_back(key.text(), value);
    }
  }
  return out;
}

Value Evaluator::EvaluateCall(const Expr& expr, Scope& scope) {
  const Value callee = Evaluate(*expr.operands[0], scope);
  const Arguments arguments = EvaluateArguments(*expr.arguments, scope);
  run_.line = expr.line;
  return Call(run_, callee, arguments);
}

Value Evaluator::EvaluateFilter(const Expr& expr, Scope& scope) {
  const Value input = expr.operands[0] ? Evaluate(*expr.operands[0], scope) : captured_;
  const Arguments arguments = EvaluateArguments(*expr.arguments, scope);
  run_.line = expr.line;
  return expr.filter(run_, input, arguments);
}

Value Evaluator::EvaluateTest(const Expr& expr, Scope& scope) {
  const Value input = Evaluate(*expr.operands[0], scope);
  const Arguments arguments = EvaluateArguments(*expr.arguments, scope);
  run_.line = expr.line;
  return Value::Bool(expr.test(run_, input, arguments));
}

}  // namespace tatara::text::jinja
