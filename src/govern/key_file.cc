#include "key_file.h"

#include <sodium.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "tatara/base/bytes.h"
#include "tatara/base/json_nesting.h"

namespace tatara::govern {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kIdDigits = 12;

std::optional<KeyHash> FromHex(std::string_view text) {
  KeyHash bytes{};
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digit = kHexDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    bytes[i / 2] = static_cast<unsigned char>(bytes[i / 2] << 4 | digit);
  }
  return bytes;
}

std::string Hex(const KeyHash& hash) {
  return ToHex(std::as_bytes(std::span(hash)));
}

// One entry's fields, each once and of its type.
class Entry {
 public:
  Entry(const Json& json, std::string_view file, std::size_t index)
      : json_(json), file_(file), index_(index) {}

  Result<std::string> Text(const char* name) const {
    const auto it = json_.find(name);
    if (it == json_.end() || !it->is_string()) return Wrong(name, "a text");
    return it->get<std::string>();
  }
  Result<std::int64_t> Time(const char* name) const {
    const auto it = json_.find(name);
    const bool whole = it != json_.end() && it->is_number_integer();
    const bool fits =
        whole && (!it->is_number_unsigned() ||
                  it->get<std::uint64_t>() <=
                      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    if (!fits || it->get<std::int64_t>() < 0) return Wrong(name, "seconds since 1970");
    return it->get<std::int64_t>();
  }
  Error Wrong(const char* name, const char* expected) const {
    return Refuse("{0}: keys[{1}].{2}: expected {3}", file_, index_, name, expected);
  }

 private:
  const Json& json_;
  std::string_view file_;
  std::size_t index_;
};

Result<KeptKey> ParseEntry(const Json& json, std::string_view file, std::size_t index) {
  const Entry entry(json, file, index);
  KeptKey kept;
  TATARA_TRY(kept.key.id, entry.Text("id"));
  TATARA_TRY(kept.key.name, entry.Text("name"));
  TATARA_TRY(kept.key.tenant, entry.Text("tenant"));
  TATARA_TRY(const std::string hash, entry.Text("hash"));
  TATARA_TRY(kept.key.created_unix, entry.Time("created"));
  TATARA_TRY(kept.key.last_used_unix, entry.Time("last_used"));
  TATARA_TRY(kept.key.revoked_unix, entry.Time("revoked"));
  if (kept.key.id.size() != kIdDigits ||
      kept.key.id.find_first_not_of(kHexDigits) != std::string::npos) {
    return entry.Wrong("id", "12 hexadecimal digits");
  }
  const auto bytes = FromHex(hash);
  if (!bytes) return entry.Wrong("hash", "64 hexadecimal digits");
  kept.hash = *bytes;
  if (!CheckKeyName(kept.key.name).ok()) return entry.Wrong("name", "a name");
  if (!CheckTenant(kept.key.tenant).ok()) return entry.Wrong("tenant", "a tenant");
  return kept;
}

}  // namespace

KeyHash KeyFile::HashOf(std::string_view secret) const {
  KeyHash hash;
  crypto_generichash(hash.data(), hash.size(),
                     reinterpret_cast<const unsigned char*>(secret.data()), secret.size(),
                     hash_key.data(), hash_key.size());
  return hash;
}

Result<KeyFile> ParseKeyFile(std::string_view text, std::string_view name) {
  const Json json =
      JsonNestsTooDeeply(text) ? Json() : Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("version") || json["version"] != kVersion ||
      !json.contains("hash_key") || !json["hash_key"].is_string() || !json.contains("keys") ||
      !json["keys"].is_array()) {
    return Refuse("{0}: not a file of keys in version {1}", name, kVersion);
  }
  KeyFile file;
  const auto hash_key = FromHex(json["hash_key"].get_ref<const std::string&>());
  if (!hash_key) return Refuse("{0}: not a file of keys in version {1}", name, kVersion);
  file.hash_key = *hash_key;
  const Json& keys = json["keys"];
  if (keys.size() > kApiKeysMax) {
    return Refuse("{0}: {1} keys, at most {2} are held", name, keys.size(), kApiKeysMax);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].is_object())
      return Refuse("{0}: not a file of keys in version {1}", name, kVersion);
    TATARA_TRY(KeptKey kept, ParseEntry(keys[i], name, i));
    for (const KeptKey& other : file.keys) {
      if (other.key.id == kept.key.id) {
        return Refuse("{0}: two keys have the id {1}", name, kept.key.id);
      }
    }
    file.keys.push_back(std::move(kept));
  }
  return file;
}

std::string FormatKeyFile(const KeyFile& file) {
  Json keys = Json::array();
  for (const KeptKey& kept : file.keys) {
    keys.push_back({{"id", kept.key.id},
                    {"name", kept.key.name},
                    {"tenant", kept.key.tenant},
                    {"hash", Hex(kept.hash)},
                    {"created", kept.key.created_unix},
                    {"last_used", kept.key.last_used_unix},
                    {"revoked", kept.key.revoked_unix}});
  }
  const Json json = {
      {"version", kVersion}, {"hash_key", Hex(file.hash_key)}, {"keys", std::move(keys)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<> CheckKeyName(std::string_view name) {
  bool plain = !name.empty() && name.size() <= kApiKeyNameBytesMax;
  for (const char c : name) plain = plain && static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
  try {
    (void)Json(name).dump();  // what is not UTF-8 would come back from the file as another name
  } catch (const Json::exception&) {
    plain = false;
  }
  if (plain) return Ok{};
  return Refuse("a key's name is 1 to {0} bytes of UTF-8 without control characters",
                kApiKeyNameBytesMax);
}

Result<> CheckTenant(std::string_view tenant) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
  const bool right = !tenant.empty() && tenant.size() <= kTenantBytesMax &&
                     tenant.find_first_not_of(kAllowed) == std::string_view::npos &&
                     tenant.front() != '.';
  if (right) return Ok{};
  return Refuse(
      "a tenant is 1 to {0} lower-case letters, digits, '-', '_' and '.', not a '.' first",
      kTenantBytesMax);
}

}  // namespace tatara::govern
