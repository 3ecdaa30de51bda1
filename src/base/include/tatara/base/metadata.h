// Typed keys as model containers carry them (GGUF metadata, a Hugging Face folder's JSON files).
// The weights module fills it; tokenizers, templates and architectures read it. Thread safety:
// reading from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tatara/base/error.h"

namespace tatara {

class Metadata {
 public:
  // Integers of every width are widened, floats keep their exact value. Arrays hold one type;
  // arrays of arrays are not kept.
  using Value =
      std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<bool>,
                   std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>,
                   std::vector<std::string>>;

  // `origin` names the file in errors.
  explicit Metadata(std::string origin = {}) : origin_(std::move(origin)) {}

  void Set(std::string key, Value value) {
    values_.insert_or_assign(std::move(key), std::move(value));
  }
  bool Has(std::string_view key) const { return values_.find(key) != values_.end(); }
  const std::map<std::string, Value, std::less<>>& values() const { return values_; }
  const std::string& origin() const { return origin_; }

  // Refused, naming origin and key, where the key is missing or of another kind. Integers of either
  // signedness are accepted where the value fits; Float accepts integers.
  Result<std::int64_t> Int(std::string_view key) const;
  Result<double> Float(std::string_view key) const;
  Result<bool> Bool(std::string_view key) const;
  Result<std::string> String(std::string_view key) const;
  // Absent: the default. Present with another kind: refused.
  Result<std::int64_t> IntOr(std::string_view key, std::int64_t otherwise) const;
  Result<double> FloatOr(std::string_view key, double otherwise) const;
  Result<bool> BoolOr(std::string_view key, bool otherwise) const;
  Result<std::string> StringOr(std::string_view key, std::string_view otherwise) const;
  // Pointers into this object; null where absent or of another kind.
  const std::vector<std::string>* Strings(std::string_view key) const;
  const std::vector<double>* Floats(std::string_view key) const;
  // Integer arrays of either signedness, and bool arrays, as int64; nothing where absent or other.
  std::optional<std::vector<std::int64_t>> Ints(std::string_view key) const;

 private:
  const Value* Find(std::string_view key) const;
  std::string origin_;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace tatara
