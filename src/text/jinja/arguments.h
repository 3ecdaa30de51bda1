// Binding of a call's arguments to named parameters, as Python binds them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/value.h"

namespace tatara::text::jinja {

class Bound {
 public:
  // `required` of the names must be given. Refuses unknown names, doubles and too many, naming
  // `callee`.
  Bound(Run& run, std::string_view callee, const Arguments& arguments,
        std::initializer_list<std::string_view> names, std::size_t required = 0);

  bool Has(std::size_t i) const { return given_[i]; }
  const Value& operator[](std::size_t i) const { return values_[i]; }
  Value Or(std::size_t i, const Value& otherwise) const {
    return given_[i] ? values_[i] : otherwise;
  }
  bool Flag(std::size_t i, bool otherwise = false) const;
  // Refused where the value is of another type.
  std::int64_t Int(std::size_t i, std::int64_t otherwise) const;
  const std::string& Text(std::size_t i) const;
  bool HasAndNotNone(std::size_t i) const { return given_[i] && !values_[i].IsNone(); }

 private:
  Run& run_;
  std::string_view callee_;
  std::vector<Value> values_;
  std::vector<bool> given_;
};

}  // namespace tatara::text::jinja
