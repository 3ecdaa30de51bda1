// A JSON object read strictly: every field by its name, type and range; the first thing that is
// wrong is kept with its path. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
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

// A field as an endpoint reads it and as the OpenAPI document describes it, said once. `otherwise`
// is what an absent one counts as; outside the range it stands for something that `says` tells.
struct NumberField {
  std::string_view name;
  double otherwise, least, most;
  std::string_view says;
};
struct IntegerField {
  std::string_view name;
  std::int64_t otherwise, least, most;
  std::string_view says;
};
struct FlagField {
  std::string_view name;
  bool otherwise;
  std::string_view says;
};
struct TextField {
  std::string_view name;
  std::string_view says;
};
// One of these texts; the first where it is absent.
struct ChoiceField {
  std::string_view name;
  std::span<const std::string_view> values;
  std::string_view says;
};
using FieldNames = std::span<const std::string_view>;

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
  double Number(const NumberField& field) {
    return Number(field.name, field.otherwise, {field.least, field.most});
  }
  std::int64_t Integer(const IntegerField& field) {
    return Integer(field.name, field.otherwise, {field.least, field.most});
  }
  bool Flag(std::string_view name, bool otherwise);
  bool Flag(const FlagField& field) { return Flag(field.name, field.otherwise); }
  std::string Text(std::string_view name, std::string otherwise);
  std::string Text(const TextField& field) { return Text(field.name, ""); }
  // Refuses a value that is not one of these.
  std::string OneOf(std::string_view name, std::vector<std::string_view> values);
  std::string OneOf(const ChoiceField& field) {
    return OneOf(field.name, {field.values.begin(), field.values.end()});
  }
  // Known, and of no consequence for the answer.
  void Accept(FieldNames names);
  // Known, not offered, and of consequence: refused by name.
  void RefuseAll(FieldNames names);

  void Wrong(std::string path, std::string message);
  std::string PathOf(std::string_view name) const;
  // What was found wrong in a part of this.
  void TakeError(const Fields& part);
  // Names that nobody asked for.
  std::vector<std::string> Unknown() const;

  const std::optional<ApiError>& error() const { return error_; }
  bool ok() const { return !error_; }

 private:
  void Asked(std::string_view name);
  void WrongType(std::string_view name, std::string_view expected, const Json& found);
  const Json& object_;
  std::string path_;
  std::set<std::string, std::less<>> asked_;
  std::optional<ApiError> error_;
};

// While it lives, this thread's Fields tell it every path that they are asked for: for the test
// that compares what endpoints read with what the document says.
class FieldsWatch {
 public:
  explicit FieldsWatch(std::function<void(const std::string& path)> asked);
  ~FieldsWatch();
  FieldsWatch(const FieldsWatch&) = delete;
  FieldsWatch& operator=(const FieldsWatch&) = delete;

 private:
  std::function<void(const std::string& path)> asked_;
};

// Of a whole number within int32; for ids.
std::optional<std::int32_t> TokenId(const Json& value);

}  // namespace tatara::server
