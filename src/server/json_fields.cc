#include "json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tatara::server {
namespace {

std::string_view KindName(const Json& value) {
  if (value.is_number_integer()) return "a whole number";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "true or false";
  if (value.is_array()) return "an array";
  return value.is_object() ? "an object" : "null";
}

std::string_view TypeOf(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

// A number without a fraction, however it is written: to JSON Schema 1.0 is whole. With a point or
// an exponent only where a double holds every whole number.
std::optional<std::int64_t> WholeNumber(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return std::nullopt;
    }
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kExact = 9007199254740992;  // 2^53
  if (!(number >= -kExact && number <= kExact) || number != std::trunc(number)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(number);
}

thread_local const std::function<void(const std::string& path)>* watching = nullptr;

}  // namespace

FieldsWatch::FieldsWatch(std::function<void(const std::string& path)> asked)
    : asked_(std::move(asked)) {
  watching = &asked_;
}

FieldsWatch::~FieldsWatch() {
  watching = nullptr;
}

std::string Dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse ErrorResponse(const ApiError& error) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  HttpResponse response{.status = error.status};
  response.body = Dump({{"error",
                         {{"message", error.message},
                          {"type", TypeOf(error.status)},
                          {"param", or_null(error.param)},
                          {"code", or_null(error.code)}}}});
  return response;
}

ApiError ApiErrorOf(const Error& error) {
  int status = 500;
  switch (error.kind()) {
    case ErrorKind::kRefused:
      status = 400;
      break;
    case ErrorKind::kNotFound:
      status = 404;
      break;
    case ErrorKind::kUnavailable:
      status = 429;
      break;
    case ErrorKind::kCancelled:
      status = 504;
      break;
    case ErrorKind::kIo:
      status = 500;
      break;
  }
  return {.status = status, .message = error.text()};
}

void Fields::Asked(std::string_view name) {
  asked_.emplace(name);
  if (watching != nullptr) (*watching)(PathOf(name));
}

void Fields::TakeError(const Fields& part) {
  if (!error_) error_ = part.error_;
}

const Json* Fields::Get(std::string_view name) {
  Asked(name);
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::string Fields::PathOf(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void Fields::Wrong(std::string path, std::string message) {
  if (error_) return;
  error_ = ApiError{.message = fmt::format("{}: {}", path, message), .param = std::move(path)};
}

void Fields::WrongType(std::string_view name, std::string_view expected, const Json& found) {
  Wrong(PathOf(name), fmt::format("expected {}, found {}", expected, KindName(found)));
}

double Fields::Number(std::string_view name, double otherwise, NumberRange range) {
  const Json* value = Get(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) {
    WrongType(name, "a number", *value);
    return otherwise;
  }
  const double number = value->get<double>();
  if (!(number >= range.least && number <= range.most)) {
    Wrong(PathOf(name),
          fmt::format("expected {} to {}, found {}", range.least, range.most, number));
    return otherwise;
  }
  return number;
}

std::int64_t Fields::Integer(std::string_view name, std::int64_t otherwise, IntegerRange range) {
  const Json* value = Get(name);
  if (value == nullptr) return otherwise;
  const auto number = WholeNumber(*value);
  if (!number && !value->is_number_integer()) {
    WrongType(name, "a whole number", *value);
    return otherwise;
  }
  if (!number || *number < range.least || *number > range.most) {
    Wrong(PathOf(name),
          fmt::format("expected {} to {}, found {}", range.least, range.most, value->dump()));
    return otherwise;
  }
  return *number;
}

bool Fields::Flag(std::string_view name, bool otherwise) {
  const Json* value = Get(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) {
    WrongType(name, "true or false", *value);
    return otherwise;
  }
  return value->get<bool>();
}

std::string Fields::Text(std::string_view name, std::string otherwise) {
  const Json* value = Get(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) {
    WrongType(name, "a string", *value);
    return otherwise;
  }
  return value->get<std::string>();
}

std::string Fields::OneOf(std::string_view name, std::vector<std::string_view> values) {
  const std::string text = Text(name, std::string(values.front()));
  if (std::find(values.begin(), values.end(), text) != values.end()) return text;
  Wrong(PathOf(name), fmt::format("'{}' is not offered; offered: {}", text.substr(0, 100),
                                  fmt::join(values, ", ")));
  return std::string(values.front());
}

void Fields::Accept(FieldNames names) {
  for (const std::string_view name : names) Asked(name);
}

void Fields::RefuseAll(FieldNames names) {
  for (const std::string_view name : names) {
    if (Has(name)) Wrong(PathOf(name), "is not offered by this server yet");
  }
}

std::vector<std::string> Fields::Unknown() const {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : object_.items()) {
    if (!asked_.contains(name)) unknown.push_back(name);
  }
  return unknown;
}

std::optional<std::int32_t> TokenId(const Json& value) {
  const auto id = WholeNumber(value);
  if (!id || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::int32_t>(*id);
}

}  // namespace tatara::server
