// Evaluation of a parsed template.
#pragma once

#include <string>

#include "jinja/ast.h"
#include "jinja/filters.h"

namespace tatara::text::jinja {

// Variables of one scope; names not found are looked for in the scope around it.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;  // by a macro, which may outlive it
  std::vector<std::pair<NameId, Value>> variables;

  Value* FindHere(NameId name);
  void Set(NameId name, const Value& value);
};

// `loop` inside a for statement.
struct LoopObject : Object {
  std::vector<Value> items;
  std::size_t index0 = 0;
  int depth0 = 0;
  bool has_changed_before = false;
  std::vector<Value> last_changed;
  // Recursive loops only.
  const Stmt* statement = nullptr;
  Scope* scope = nullptr;
  class Evaluator* evaluator = nullptr;
};

class Evaluator {
 public:
  Evaluator(Run& run, const Template& source) : run_(run), template_(source) {}
  std::string Render(const Value& context);

  // The body of a recursive loop over other items; what it prints.
  Value RenderLoop(const LoopObject& loop, const Value& items);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Statements (eval.cc).
  Flow Execute(const Body& body, Scope& scope);
  Flow ExecuteOne(const Stmt& stmt, Scope& scope);
  Flow ExecuteIf(const Stmt& stmt, Scope& scope);
  Flow ExecuteFor(const Stmt& stmt, Scope& scope);
  Flow RunLoop(const Stmt& stmt, Scope& scope, const Value& iterable, int depth0);
  std::vector<Value> FilterItems(const Stmt& stmt, Scope& scope, std::vector<Value> items);
  void ExecuteSetBlock(const Stmt& stmt, Scope& scope);
  void ExecuteFilterBlock(const Stmt& stmt, Scope& scope);
  void ExecuteCallBlock(const Stmt& stmt, Scope& scope);
  Flow ExecuteWith(const Stmt& stmt, Scope& scope);
  void Assign(const Target& target, const Value& value, Scope& scope);
  void Print(std::string_view text);
  std::string Capture(const Body& body, Scope& scope);

  // Macros (eval_macro.cc).
  Value MakeMacro(const MacroDefinition& macro, Scope& scope);
  Value CallMacro(const MacroDefinition& macro, Scope& definition, const Arguments& arguments);
  void BindParameters(const MacroDefinition& macro, const Arguments& arguments, Scope& scope);

  // Expressions (eval_expressions.cc).
  Value Evaluate(const Expr& expr, Scope& scope);
  Value EvaluateName(const Expr& expr, Scope& scope);
  Value EvaluateDict(const Expr& expr, Scope& scope);
  Value EvaluateCompare(const Expr& expr, Scope& scope);
  Value EvaluateConcat(const Expr& expr, Scope& scope);
  Value EvaluateConditional(const Expr& expr, Scope& scope);
  Value EvaluateSlice(const Expr& expr, Scope& scope);
  Value EvaluateCall(const Expr& expr, Scope& scope);
  Value EvaluateFilter(const Expr& expr, Scope& scope);
  Value EvaluateTest(const Expr& expr, Scope& scope);
  std::vector<Value> EvaluateAll(const std::vector<ExprPtr>& exprs, Scope& scope);
  Arguments EvaluateArguments(const CallArguments& arguments, Scope& scope);

  Scope& NewScope(Scope* parent);
  void Release(Scope& scope);

  Run& run_;
  const Template& template_;
  std::string* out_ = nullptr;
  Value captured_;  // input of a filter whose operand is a block
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
};

}  // namespace tatara::text::jinja
