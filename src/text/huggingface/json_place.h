// A value of a JSON file together with its place, so that a refusal names both: "file:
// tokenizer.json at model.vocab: ...". Thread safety: values; the document must outlive them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::text {

class JsonPlace {
 public:
  using Json = nlohmann::json;
  JsonPlace(const Json& value, std::string origin, std::string path)
      : value_(&value), origin_(std::move(origin)), path_(std::move(path)) {}

  const Json& value() const { return *value_; }
  const std::string& path() const { return path_; }
  // "file: tokenizer.json at path", as the beginning of messages.
  std::string Named() const { return origin_ + ": tokenizer.json at " + path_; }
  bool IsNull() const { return value_->is_null(); }

  // A member; null where it is absent.
  Result<JsonPlace> Member(std::string_view key) const;
  JsonPlace Element(std::size_t index) const;
  // Members of this value. Absent or null: the default, where there is one.
  Result<std::string> String(std::string_view key) const;
  Result<std::string> StringOr(std::string_view key, std::string_view otherwise) const;
  Result<bool> BoolOr(std::string_view key, bool otherwise) const;
  Result<std::int64_t> Int(std::string_view key) const;
  Result<std::int64_t> IntOr(std::string_view key, std::int64_t otherwise) const;
  // An array of at most `n_max` elements; none where absent or null.
  Result<std::vector<JsonPlace>> List(std::string_view key, std::size_t n_max) const;

  Error Expected(std::string_view what) const;
  Error Unknown(std::string_view what, std::string_view found) const;

 private:
  const Json* value_;
  std::string origin_, path_;
};

}  // namespace tatara::text
