#include <algorithm>

#include "jinja/eval.h"
#include "jinja/operators.h"

namespace tatara::text::jinja {

// A macro sees the variables around its definition, at their values when it is called.
Value Evaluator::MakeMacro(const MacroDefinition& macro, Scope& scope) {
  for (Scope* s = &scope; s != nullptr; s = s->parent) s->captured = true;
  const Value function =
      run_.Function(macro.name, [this, &macro, &scope](Run&, const Arguments& arguments) {
        return CallMacro(macro, scope, arguments);
      });
  function.as<FunctionObject>().parameter_names = &macro.parameter_names;
  return function;
}

Value Evaluator::CallMacro(const MacroDefinition& macro, Scope& definition,
                           const Arguments& arguments) {
  const Level level(run_);
  Scope& scope = NewScope(&definition);
  const int line = run_.line;
  BindParameters(macro, arguments, scope);
  const Value out = run_.String(Capture(macro.body, scope));
  run_.line = line;
  Release(scope);
  return out;
}

void Evaluator::BindParameters(const MacroDefinition& macro, const Arguments& arguments,
                               Scope& scope) {
  const std::size_t n = macro.parameters.size();
  const auto& positional = arguments.positional;
  for (std::size_t i = 0; i < std::min(n, positional.size()); ++i)
    scope.Set(macro.parameters[i], positional[i]);
  if (positional.size() > n && macro.varargs < 0) {
    Fail(Refuse("chat template, line {0}: '{1}' takes at most {2} arguments, found {3}", run_.line,
                macro.name, n, positional.size()));
  }
  auto* rest = run_.Make<DictObject>();
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(macro.parameter_names.begin(), macro.parameter_names.end(), name);
    if (it != macro.parameter_names.end()) {
      const NameId id =
          macro.parameters[static_cast<std::size_t>(it - macro.parameter_names.begin())];
      if (scope.FindHere(id) != nullptr) {
        Fail(Refuse("chat template, line {0}: '{1}' gets the argument '{2}' twice", run_.line,
                    macro.name, name));
      }
      scope.Set(id, value);
    } else if (name == "caller" && macro.caller >= 0) {
      scope.Set(macro.caller, value);
    } else if (macro.kwargs >= 0) {
      run_.Charge(128);
      rest->Set(run_.String(name), value);
    } else {
      Fail(Refuse("chat template, line {0}: '{1}' has no argument '{2}'", run_.line, macro.name,
                  name));
    }
  }
  const std::size_t without_default = n - macro.defaults.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (scope.FindHere(macro.parameters[i]) != nullptr) continue;
    const Value value = i < without_default
                            ? run_.Undefined(UndefinedObject::Why::kName, macro.parameter_names[i])
                            : Evaluate(*macro.defaults[i - without_default], scope);
    scope.Set(macro.parameters[i], value);
  }
  if (macro.caller >= 0 && scope.FindHere(macro.caller) == nullptr) {
    scope.Set(macro.caller, run_.Undefined(UndefinedObject::Why::kName, "caller"));
  }
  if (macro.kwargs >= 0) scope.Set(macro.kwargs, Value(Kind::kDict, rest));
  if (macro.varargs >= 0) {
    std::vector<Value> extra;
    if (positional.size() > n)
      extra.assign(positional.begin() + static_cast<std::ptrdiff_t>(n), positional.end());
    scope.Set(macro.varargs, run_.Tuple(std::move(extra)));
  }
}

}  // namespace tatara::text::jinja
