// A JSON object read strictly: every field by its name, type and range; the first thing that is
// wrong is kept with its path. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "http.h"

namespace tatara::server {

using Json = nlohmann::ordered_json;

// An error as the reference API writes it: {"error": {"message", "type", "param", "code"}}.
struct ApiError {
  int status = 400;
  std::string message;
  std::string param;  // path of the field; empty: null
  std::string code;   // likewise
};
HttpResponse ErrorResponse(const ApiError& error);
ApiError ApiErrorOf(const Error& error);

// UTF-8 always: what is not becomes U+FFFD.
std::string Dump(const Json& value);

class Fields {
 public:
  Fields(const Json& object, std::string path = "") : object_(object), path_(std::move(path)) {}

  // Null where it is absent or null, as the reference API treats null.
  const Json* Get(std::string_view name);
  bool Has(std::string_view name) { return Get(name) != nullptr; }

  struct NumberRange {
    double least, most;
  };
  double Number(std::string_view name, double otherwise, NumberRange range);
  struct IntegerRange {
    std::int64_t least, most;
  };
  std::int64_t Integer(std::string_view name, std::int64_t otherwise, IntegerRange range);
  bool Flag(std::string_view name, bool otherwise);
  std::string Text(std::string_view name, std::string otherwise);
  // Refuses a value that is not one of these.
  std::string OneOf(std::string_view name, std::vector<std::string_view> values);
  // Known, and of no consequence for the answer.
  void Accept(std::initializer_list<std::string_view> names);
  // Known, not offered, and of consequence: refused by name.
  void RefuseAll(std::initializer_list<std::string_view> names);

  void Wrong(std::string path, std::string message);
  std::string PathOf(std::string_view name) const;
  // Names that nobody asked for.
  std::vector<std::string> Unknown() const;

  const std::optional<ApiError>& error() const { return error_; }
  bool ok() const { return !error_; }

 private:
  void WrongType(std::string_view name, std::string_view expected, const Json& found);
  const Json& object_;
  std::string path_;
  std::set<std::string, std::less<>> asked_;
  std::optional<ApiError> error_;
};

// Of a whole number within int32; for ids.
std::optional<std::int32_t> TokenId(const Json& value);

}  // namespace tatara::server
