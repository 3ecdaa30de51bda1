#include "jinja/arguments.h"

#include <algorithm>

#include "jinja/operators.h"

namespace tatara::text::jinja {

Bound::Bound(Run& run, std::string_view callee, const Arguments& arguments,
             std::initializer_list<std::string_view> names, std::size_t required)
    : run_(run), callee_(callee), values_(names.size()), given_(names.size()) {
  if (arguments.positional.size() > names.size()) {
    Fail(Refuse("chat template, line {0}: '{1}' takes at most {2} arguments, found {3}", run.line,
                callee, names.size(), arguments.positional.size()));
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = arguments.positional[i];
    given_[i] = true;
  }
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it == names.end()) {
      Fail(Refuse("chat template, line {0}: '{1}' has no argument '{2}'", run.line, callee, name));
    }
    const auto i = static_cast<std::size_t>(it - names.begin());
    if (given_[i]) {
      Fail(Refuse("chat template, line {0}: '{1}' gets the argument '{2}' twice", run.line, callee,
                  name));
    }
    values_[i] = value;
    given_[i] = true;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (given_[i]) continue;
    Fail(Refuse("chat template, line {0}: '{1}' needs the argument '{2}'", run.line, callee,
                names.begin()[i]));
  }
}

bool Bound::Flag(std::size_t i, bool otherwise) const {
  return given_[i] ? IsTrue(values_[i]) : otherwise;
}

std::int64_t Bound::Int(std::size_t i, std::int64_t otherwise) const {
  if (!given_[i]) return otherwise;
  if (!values_[i].IsInteger()) run_.FailType(callee_, "int", values_[i]);
  return values_[i].integer();
}

const std::string& Bound::Text(std::size_t i) const {
  if (!values_[i].IsString()) run_.FailType(callee_, "str", values_[i]);
  return values_[i].text();
}

}  // namespace tatara::text::jinja
