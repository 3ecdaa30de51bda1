#include "huggingface/config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

using nlohmann::json;

bool IsInt64(const json& value) {
  return value.is_number_integer() &&
         !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX);
}

}  // namespace

Result<Config> Config::Read(const std::filesystem::path& path, std::uint64_t bytes_max) {
  TATARA_TRY(const std::string text, ReadWholeFile(path, bytes_max));
  Config config;
  config.origin_ = path.string();
  auto root = std::make_shared<json>(json::parse(text, nullptr, /*allow_exceptions=*/false));
  if (!root->is_object()) return Refuse("{0}: no JSON object", path.string());
  config.node_ = root.get();
  config.root_ = std::move(root);
  return config;
}

const json* Config::Find(std::string_view key) const {
  if (node_ == nullptr) return nullptr;
  const auto at = node_->find(key);
  return at == node_->end() || at->is_null() ? nullptr : &*at;
}

Error Config::WrongKind(std::string_view key, std::string_view expected) const {
  if (!Has(key)) return Refuse("{0}: the key '{1}' is missing", origin_, key);
  return Refuse("{0}: the key '{1}' is no {2}", origin_, key, expected);
}

bool Config::Has(std::string_view key) const {
  return Find(key) != nullptr;
}

Config Config::Object(std::string_view key) const {
  Config inner;
  const json* node = Find(key);
  inner.origin_ = origin_;
  if (node == nullptr || !node->is_object()) return inner;
  inner.root_ = root_;
  inner.node_ = node;
  return inner;
}

std::vector<std::string> Config::Keys() const {
  std::vector<std::string> keys;
  if (node_ == nullptr) return keys;
  for (auto it = node_->begin(); it != node_->end(); ++it) keys.push_back(it.key());
  return keys;
}

Config Config::TextPart() const {
  return Object("text_config").node_ != nullptr ? Object("text_config") : *this;
}

Result<std::int64_t> Config::Int(std::string_view key) const {
  const json* node = Find(key);
  if (node == nullptr || !IsInt64(*node)) return WrongKind(key, "integer");
  return node->get<std::int64_t>();
}

Result<std::int64_t> Config::IntOr(std::string_view key, std::int64_t otherwise) const {
  return Has(key) ? Int(key) : Result<std::int64_t>(otherwise);
}

Result<double> Config::Float(std::string_view key) const {
  const json* node = Find(key);
  if (node == nullptr || !node->is_number() || !std::isfinite(node->get<double>())) {
    return WrongKind(key, "number");
  }
  return node->get<double>();
}

Result<double> Config::FloatOr(std::string_view key, double otherwise) const {
  return Has(key) ? Float(key) : Result<double>(otherwise);
}

Result<bool> Config::BoolOr(std::string_view key, bool otherwise) const {
  const json* node = Find(key);
  if (node == nullptr) return otherwise;
  if (!node->is_boolean()) return WrongKind(key, "boolean");
  return node->get<bool>();
}

Result<std::string> Config::StringOr(std::string_view key, std::string_view otherwise) const {
  const json* node = Find(key);
  if (node == nullptr) return std::string(otherwise);
  if (!node->is_string()) return WrongKind(key, "text");
  return node->get<std::string>();
}

Result<std::vector<std::string>> Config::StringsOrNone(std::string_view key) const {
  std::vector<std::string> values;
  const json* node = Find(key);
  if (node == nullptr) return values;
  if (!node->is_array()) return WrongKind(key, "array of texts");
  for (const json& value : *node) {
    if (!value.is_string()) return WrongKind(key, "array of texts");
    values.push_back(value.get<std::string>());
  }
  return values;
}

Result<std::vector<double>> Config::FloatsOrNone(std::string_view key) const {
  std::vector<double> values;
  const json* node = Find(key);
  if (node == nullptr) return values;
  if (!node->is_array()) return WrongKind(key, "array of numbers");
  for (const json& value : *node) {
    if (!value.is_number()) return WrongKind(key, "array of numbers");
    values.push_back(value.get<double>());
  }
  return values;
}

Result<std::vector<std::int64_t>> Config::IntsOrNone(std::string_view key) const {
  std::vector<std::int64_t> values;
  const json* node = Find(key);
  if (node == nullptr) return values;
  if (node->is_number_integer()) {
    TATARA_TRY(const std::int64_t value, Int(key));
    return std::vector<std::int64_t>{value};
  }
  if (!node->is_array()) return WrongKind(key, "array of integers");
  for (const json& value : *node) {
    if (!IsInt64(value)) return WrongKind(key, "array of integers");
    values.push_back(value.get<std::int64_t>());
  }
  return values;
}

}  // namespace tatara::weights
