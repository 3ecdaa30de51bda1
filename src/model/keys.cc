#include "keys.h"
#include "tatara/base/utf8.h"

#include <algorithm>
#include <utility>

namespace tatara::model {
namespace {

constexpr std::string_view kOutside = "{0}: the key '{1}' is {2}; {3} to {4} is accepted";
constexpr std::string_view kOnly =
    "{0}: the key '{1}' is {2}, which asks for something that '{3}' models do not compute here "
    "(only {4} is accepted)";

}  // namespace

std::string Keys::FullName(std::string_view key) const {
  return architecture_ + "." + std::string(key);
}

std::string Keys::Ask(std::string_view key) {
  std::string name = FullName(key);
  asked_.insert(name);
  return name;
}

Result<std::int64_t> Keys::Int(std::string_view key, IntRange range) {
  const std::string name = Ask(key);
  TATARA_TRY(const std::int64_t value, metadata_.Int(name));
  if (value < range.least || value > range.most) {
    return Refuse(kOutside, origin(), name, value, range.least, range.most);
  }
  return value;
}

Result<std::int64_t> Keys::IntOr(std::string_view key, std::int64_t otherwise, IntRange range) {
  const std::string name = Ask(key);
  return metadata_.Has(name) ? Int(key, range) : Result<std::int64_t>(otherwise);
}

Result<double> Keys::Float(std::string_view key, FloatRange range) {
  const std::string name = Ask(key);
  TATARA_TRY(const double value, metadata_.Float(name));
  if (!(value >= range.least && value <= range.most)) {  // NaN is outside
    return Refuse(kOutside, origin(), name, value, range.least, range.most);
  }
  return value;
}

Result<double> Keys::FloatOr(std::string_view key, double otherwise, FloatRange range) {
  const std::string name = Ask(key);
  return metadata_.Has(name) ? Float(key, range) : Result<double>(otherwise);
}

Result<bool> Keys::BoolOr(std::string_view key, bool otherwise) {
  return metadata_.BoolOr(Ask(key), otherwise);
}

Result<std::string> Keys::StringOr(std::string_view key, std::string_view otherwise) {
  return metadata_.StringOr(Ask(key), otherwise);
}

Result<std::vector<std::int64_t>> Keys::IntsOrNone(std::string_view key, std::size_t count_max,
                                                   IntRange range) {
  const std::string name = Ask(key);
  if (!metadata_.Has(name)) return std::vector<std::int64_t>{};
  std::vector<std::int64_t> values;
  if (auto array = metadata_.Ints(name)) {
    values = std::move(*array);
  } else {
    TATARA_TRY(const std::int64_t value, metadata_.Int(name));
    values.push_back(value);
  }
  if (values.empty() || values.size() > count_max) {
    return Refuse("{0}: the key '{1}' has {2} values; 1 to {3} are accepted", origin(), name,
                  values.size(), count_max);
  }
  for (const std::int64_t value : values) {
    if (value < range.least || value > range.most) {
      return Refuse(kOutside, origin(), name, value, range.least, range.most);
    }
  }
  return values;
}

Result<std::int64_t> Keys::IntOfLayers(std::string_view key, int n_layers, IntRange range) {
  const std::string name = Ask(key);
  if (!metadata_.Ints(name)) return Int(key, range);
  TATARA_TRY(const std::vector<std::int64_t> values,
             IntsOrNone(key, static_cast<std::size_t>(n_layers), range));
  if (values.size() != 1 && values.size() != static_cast<std::size_t>(n_layers)) {
    return Refuse("{0}: the key '{1}' has {2} values for {3} layers", origin(), name, values.size(),
                  n_layers);
  }
  for (const std::int64_t value : values) {
    if (value != values.front()) {
      return Refuse(
          "{0}: the key '{1}' has other values for other layers ({2} and {3}), which "
          "'{4}' models do not have here",
          origin(), name, values.front(), value, architecture_);
    }
  }
  return values.front();
}

Result<> Keys::OnlyInt(std::string_view key, std::int64_t value) {
  const std::string name = Ask(key);
  TATARA_TRY(const std::int64_t found, metadata_.IntOr(name, value));
  if (found != value) return Refuse(kOnly, origin(), name, found, architecture_, value);
  return Ok{};
}

Result<> Keys::OnlyFloat(std::string_view key, double value) {
  const std::string name = Ask(key);
  TATARA_TRY(const double found, metadata_.FloatOr(name, value));
  if (found != value) return Refuse(kOnly, origin(), name, found, architecture_, value);
  return Ok{};
}

Result<> Keys::OnlyBool(std::string_view key, bool value) {
  const std::string name = Ask(key);
  TATARA_TRY(const bool found, metadata_.BoolOr(name, value));
  if (found != value) return Refuse(kOnly, origin(), name, found, architecture_, value);
  return Ok{};
}

Result<> Keys::Finish() const {
  const std::string prefix = architecture_ + ".";
  const auto& values = metadata_.values();
  for (auto it = values.lower_bound(prefix); it != values.end() && it->first.starts_with(prefix);
       ++it) {
    if (!asked_.contains(it->first)) {
      return Refuse(
          "{0}: the key '{1}' asks for something that '{2}' models do not compute here; ignoring "
          "it could give wrong answers",
          origin(), Printable(it->first), architecture_);
    }
  }
  return Ok{};
}

}  // namespace tatara::model
