#include "jinja/eval.h"

#include <algorithm>

#include "jinja/operators.h"
#include "jinja/print.h"

namespace tatara::text::jinja {

Value* Scope::FindHere(NameId name) {
  for (auto& [id, value] : variables) {
    if (id == name) return &value;
  }
  return nullptr;
}

void Scope::Set(NameId name, const Value& value) {
  if (Value* found = FindHere(name)) {
    *found = value;
  } else {
    variables.emplace_back(name, value);
  }
}

Scope& Evaluator::NewScope(Scope* parent) {
  if (free_scopes_.empty()) {
    run_.Charge(sizeof(Scope) + 64);
    free_scopes_.push_back(&scopes_.emplace_back());
  }
  Scope& scope = *free_scopes_.back();
  free_scopes_.pop_back();
  scope.parent = parent;
  return scope;
}

// A scope that no macro holds is used again.
void Evaluator::Release(Scope& scope) {
  if (scope.captured) return;
  scope.variables.clear();
  scope.parent = nullptr;
  free_scopes_.push_back(&scope);
}

std::string Evaluator::Render(const Value& context) {
  std::string out;
  out_ = &out;
  Scope& root = NewScope(nullptr);
  GlobalOptions options;
  if (const Value* now = context.as<DictObject>().FindText("strftime_now_unix")) {
    if (!now->IsInteger()) run_.FailType("strftime_now_unix", "int", *now);
    options.has_now = true;
    options.now_unix = now->integer();
  }
  for (std::size_t i = 0; i < template_.names.size(); ++i) {
    const std::string& name = template_.names[i];
    const Value* given = context.as<DictObject>().FindText(name);
    const Value value = given != nullptr ? *given : MakeGlobal(run_, name, options);
    if (given != nullptr || !value.IsUndefined())
      root.variables.emplace_back(static_cast<NameId>(i), value);
  }
  Execute(template_.body, NewScope(&root));
  return out;
}

void Evaluator::Print(std::string_view text) {
  run_.TouchText(text.size());
  if (out_->size() + text.size() > kOutputBytesMax) {
    Fail(Refuse("chat template, line {0}: prints more than {1} bytes, the limit", run_.line,
                kOutputBytesMax));
  }
  out_->append(text);
}

std::string Evaluator::Capture(const Body& body, Scope& scope) {
  std::string text;
  std::string* const outer = out_;
  struct Restore {
    std::string*& slot;
    std::string* value;
    ~Restore() { slot = value; }
  } restore{out_, outer};
  out_ = &text;
  Execute(body, scope);
  return text;
}

Evaluator::Flow Evaluator::Execute(const Body& body, Scope& scope) {
  for (const StmtPtr& stmt : body) {
    const Flow flow = ExecuteOne(*stmt, scope);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::ExecuteOne(const Stmt& stmt, Scope& scope) {
  const Level level(run_);
  run_.line = stmt.line;
  run_.Step();
  switch (stmt.kind) {
    case StmtKind::kText:
      Print(stmt.text);
      break;
    case StmtKind::kPrint: {
      const Value value = Evaluate(*stmt.expr, scope);
      if (value.IsString()) {
        Print(value.text());
      } else {
        Print(ToText(run_, value));
      }
      break;
    }
    case StmtKind::kIf:
      return ExecuteIf(stmt, scope);
    case StmtKind::kFor:
      return ExecuteFor(stmt, scope);
    case StmtKind::kSet:
      Assign(stmt.targets[0], Evaluate(*stmt.expr, scope), scope);
      break;
    case StmtKind::kSetBlock:
      ExecuteSetBlock(stmt, scope);
      break;
    case StmtKind::kFilterBlock:
      ExecuteFilterBlock(stmt, scope);
      break;
    case StmtKind::kMacro:
      scope.Set(stmt.macro_name, MakeMacro(*stmt.macro, scope));
      break;
    case StmtKind::kCallBlock:
      ExecuteCallBlock(stmt, scope);
      break;
    case StmtKind::kWith:
      return ExecuteWith(stmt, scope);
    case StmtKind::kGeneration: {
      Scope& inner = NewScope(&scope);
      Execute(stmt.body, inner);
      Release(inner);
      break;
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::ExecuteIf(const Stmt& stmt, Scope& scope) {
  for (const auto& [test, body] : stmt.branches) {
    if (IsTrue(Evaluate(*test, scope))) return Execute(body, scope);
  }
  return Execute(stmt.otherwise, scope);
}

Evaluator::Flow Evaluator::ExecuteFor(const Stmt& stmt, Scope& scope) {
  return RunLoop(stmt, scope, Evaluate(*stmt.expr, scope), 0);
}

std::vector<Value> Evaluator::FilterItems(const Stmt& stmt, Scope& scope,
                                          std::vector<Value> items) {
  if (!stmt.condition) return items;
  std::vector<Value> kept;
  for (const Value& item : items) {
    Scope& inner = NewScope(&scope);
    Assign(stmt.targets[0], item, inner);
    if (IsTrue(Evaluate(*stmt.condition, inner))) kept.push_back(item);
    Release(inner);
  }
  return kept;
}

Evaluator::Flow Evaluator::RunLoop(const Stmt& stmt, Scope& scope, const Value& iterable,
                                   int depth0) {
  auto* loop = run_.Make<LoopObject>();
  loop->items = FilterItems(stmt, scope, Iterate(run_, iterable, "for"));
  run_.Charge(loop->items.size() * sizeof(Value));
  loop->depth0 = depth0;
  if (stmt.recursive) {
    loop->statement = &stmt;
    loop->scope = &scope;
    loop->evaluator = this;
    for (Scope* s = &scope; s != nullptr; s = s->parent) s->captured = true;
  }
  bool one_finished = false;
  for (loop->index0 = 0; loop->index0 < loop->items.size(); ++loop->index0) {
    run_.Step();
    Scope& inner = NewScope(&scope);
    inner.Set(stmt.loop, Value(Kind::kLoop, loop));
    Assign(stmt.targets[0], loop->items[loop->index0], inner);
    const Flow flow = Execute(stmt.body, inner);
    Release(inner);
    one_finished = one_finished || flow == Flow::kNext;
    if (flow == Flow::kBreak) break;
  }
  // jinja2 runs it where no pass came to its end: nothing to iterate, or each left by continue or
  // break.
  if (one_finished || stmt.otherwise.empty()) return Flow::kNext;
  Scope& inner = NewScope(&scope);
  const Flow flow = Execute(stmt.otherwise, inner);
  Release(inner);
  return flow;
}

Value Evaluator::RenderLoop(const LoopObject& loop, const Value& items) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  RunLoop(*loop.statement, *loop.scope, items, loop.depth0 + 1);
  out_ = outer;
  return run_.String(std::move(text));
}

void Evaluator::ExecuteSetBlock(const Stmt& stmt, Scope& scope) {
  Scope& inner = NewScope(&scope);
  Value value = run_.String(Capture(stmt.body, inner));
  if (stmt.expr) {
    captured_ = value;
    value = Evaluate(*stmt.expr, inner);
  }
  Release(inner);
  Assign(stmt.targets[0], value, scope);
}

void Evaluator::ExecuteFilterBlock(const Stmt& stmt, Scope& scope) {
  Scope& inner = NewScope(&scope);
  captured_ = run_.String(Capture(stmt.body, inner));
  const Value value = Evaluate(*stmt.expr, inner);
  Release(inner);
  Print(ToText(run_, value));
}

void Evaluator::ExecuteCallBlock(const Stmt& stmt, Scope& scope) {
  const Value caller = MakeMacro(*stmt.macro, scope);
  const Expr& call = *stmt.expr;
  const Value callee = Evaluate(*call.operands[0], scope);
  Arguments arguments = EvaluateArguments(*call.arguments, scope);
  arguments.named.emplace_back("caller", caller);
  run_.line = stmt.line;
  Print(ToText(run_, Call(run_, callee, arguments)));
}

Evaluator::Flow Evaluator::ExecuteWith(const Stmt& stmt, Scope& scope) {
  Scope& inner = NewScope(&scope);
  for (std::size_t i = 0; i < stmt.targets.size(); ++i) {
    Assign(stmt.targets[i], Evaluate(*stmt.values[i], scope), inner);
  }
  const Flow flow = Execute(stmt.body, inner);
  Release(inner);
  return flow;
}

void Evaluator::Assign(const Target& target, const Value& value, Scope& scope) {
  switch (target.kind) {
    case Target::Kind::kName:
      scope.Set(target.name, value);
      return;
    case Target::Kind::kNamespaceAttribute: {
      Value owner;
      for (Scope* s = &scope; s != nullptr; s = s->parent) {
        if (const Value* found = s->FindHere(target.name)) {
          owner = *found;
          break;
        }
      }
      if (!owner.Is(Kind::kNamespace))
        run_.FailType("set " + target.identifier + "." + target.attribute, "namespace", owner);
      run_.Charge(target.attribute.size() + 64);
      owner.as<NamespaceObject>().attributes.insert_or_assign(target.attribute, value);
      return;
    }
    case Target::Kind::kTuple: {
      if (!IsIterable(value)) run_.FailType("=", "sequence", value);
      const std::vector<Value> items = Iterate(run_, value, "=");
      if (items.size() != target.items.size()) {
        Fail(Refuse("chat template, line {0}: {1} values cannot be given to {2} names", run_.line,
                    items.size(), target.items.size()));
      }
      for (std::size_t i = 0; i < items.size(); ++i) Assign(target.items[i], items[i], scope);
      return;
    }
  }
}

}  // namespace tatara::text::jinja
