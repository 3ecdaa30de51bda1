// A JSON object of a Hugging Face folder, read key by key. Errors name the file and the key. Thread
// safety: reading from any thread. Ownership: objects inside share the parsed file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"

namespace tatara::weights {

inline constexpr std::uint64_t kConfigBytesMax = 16 << 20;
// The index of the largest models has about 10 MB.
inline constexpr std::uint64_t kIndexBytesMax = 128 << 20;

class Config {
 public:
  // A file whose top is an object. May throw std::bad_alloc.
  static Result<Config> Read(const std::filesystem::path& path, std::uint64_t bytes_max);
  Config() = default;  // empty: has no key

  const std::string& origin() const { return origin_; }
  bool Has(std::string_view key) const;  // there and not null
  // The object of that key, empty where there is none.
  Config Object(std::string_view key) const;
  std::vector<std::string> Keys() const;
  // What is said once for all, "text_config" first where there is one.
  Config TextPart() const;

  Result<std::int64_t> Int(std::string_view key) const;
  Result<std::int64_t> IntOr(std::string_view key, std::int64_t otherwise) const;
  Result<double> Float(std::string_view key) const;
  Result<double> FloatOr(std::string_view key, double otherwise) const;
  Result<bool> BoolOr(std::string_view key, bool otherwise) const;
  Result<std::string> StringOr(std::string_view key, std::string_view otherwise) const;
  Result<std::vector<std::string>> StringsOrNone(std::string_view key) const;
  Result<std::vector<double>> FloatsOrNone(std::string_view key) const;
  // A number or several.
  Result<std::vector<std::int64_t>> IntsOrNone(std::string_view key) const;

 private:
  const nlohmann::json* Find(std::string_view key) const;
  Error WrongKind(std::string_view key, std::string_view expected) const;

  std::shared_ptr<const nlohmann::json> root_;
  const nlohmann::json* node_ = nullptr;
  std::string origin_;
};

}  // namespace tatara::weights
