#include "tatara/base/metadata.h"

#include <limits>

namespace tatara {
namespace {

constexpr std::string_view kMissing = "{0}: the key '{1}' is missing";
constexpr std::string_view kWrongKind = "{0}: the key '{1}' is not {2}";

}  // namespace

const Metadata::Value* Metadata::Find(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

Result<std::int64_t> Metadata::Int(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return Refuse(kMissing, origin_, key);
  if (const auto* i = std::get_if<std::int64_t>(value)) return *i;
  if (const auto* u = std::get_if<std::uint64_t>(value);
      u && *u <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return static_cast<std::int64_t>(*u);
  }
  return Refuse(kWrongKind, origin_, key, "an integer");
}

Result<double> Metadata::Float(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return Refuse(kMissing, origin_, key);
  if (const auto* d = std::get_if<double>(value)) return *d;
  if (const auto* i = std::get_if<std::int64_t>(value)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<std::uint64_t>(value)) return static_cast<double>(*u);
  return Refuse(kWrongKind, origin_, key, "a number");
}

Result<bool> Metadata::Bool(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return Refuse(kMissing, origin_, key);
  if (const auto* b = std::get_if<bool>(value)) return *b;
  return Refuse(kWrongKind, origin_, key, "true or false");
}

Result<std::string> Metadata::String(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return Refuse(kMissing, origin_, key);
  if (const auto* s = std::get_if<std::string>(value)) return *s;
  return Refuse(kWrongKind, origin_, key, "a string");
}

Result<std::int64_t> Metadata::IntOr(std::string_view key, std::int64_t otherwise) const {
  return Has(key) ? Int(key) : Result<std::int64_t>(otherwise);
}
Result<double> Metadata::FloatOr(std::string_view key, double otherwise) const {
  return Has(key) ? Float(key) : Result<double>(otherwise);
}
Result<bool> Metadata::BoolOr(std::string_view key, bool otherwise) const {
  return Has(key) ? Bool(key) : Result<bool>(otherwise);
}
Result<std::string> Metadata::StringOr(std::string_view key, std::string_view otherwise) const {
  return Has(key) ? String(key) : Result<std::string>(std::string(otherwise));
}

const std::vector<std::string>* Metadata::Strings(std::string_view key) const {
  const Value* value = Find(key);
  return value == nullptr ? nullptr : std::get_if<std::vector<std::string>>(value);
}

const std::vector<double>* Metadata::Floats(std::string_view key) const {
  const Value* value = Find(key);
  return value == nullptr ? nullptr : std::get_if<std::vector<double>>(value);
}

std::optional<std::vector<std::int64_t>> Metadata::Ints(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* i = std::get_if<std::vector<std::int64_t>>(value)) return *i;
  if (const auto* b = std::get_if<std::vector<bool>>(value))
    return std::vector<std::int64_t>(b->begin(), b->end());
  if (const auto* u = std::get_if<std::vector<std::uint64_t>>(value)) {
    for (const std::uint64_t v : *u) {
      if (v > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return std::nullopt;
    }
    return std::vector<std::int64_t>(u->begin(), u->end());
  }
  return std::nullopt;
}

}  // namespace tatara
