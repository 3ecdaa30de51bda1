// HOME/keys/api-keys.json as values: one JSON object of version 1. Thread safety: values.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tatara/govern/api_keys.h"

namespace tatara::govern {

using KeyHash = std::array<unsigned char, 32>;

struct KeptKey {
  ApiKey key;
  KeyHash hash{};
};

struct KeyFile {
  KeyHash hash_key{};
  std::vector<KeptKey> keys;

  KeyHash HashOf(std::string_view secret) const;
};

// Every field is checked; `name` is the file's in messages.
Result<KeyFile> ParseKeyFile(std::string_view text, std::string_view name);
std::string FormatKeyFile(const KeyFile& file);

// What a name or a tenant may be, or why not.
Result<> CheckKeyName(std::string_view name);
Result<> CheckTenant(std::string_view tenant);

}  // namespace tatara::govern
