#include "payload.h"

#include <nlohmann/json.hpp>

#include "envelope.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/sha256.h"
#include "tatara/base/version.h"

namespace tatara::ledger {
namespace {

using Json = nlohmann::ordered_json;

std::size_t FirstDifference(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  return i;
}

bool IsDigest(const Json& value) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() != 64) return false;
  const std::string& text = value.get_ref<const std::string&>();
  return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool IsContract(const Json& value) {
  return value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
         value.get<std::uint64_t>() <= 1'000'000;
}

Result<ReceiptField> ReadField(const std::string& name, const Json& entry) {
  if (!entry.is_object() || !entry.contains("sha256") || !IsDigest(entry["sha256"])) {
    return Refuse("payload: field '{0}' has no SHA-256", name);
  }
  for (const auto& [key, value] : entry.items()) {
    if (key != "sha256" && key != "value")
      return Refuse("payload: field '{0}' has an unknown key '{1}'", name, key);
  }
  ReceiptField field{name, entry["sha256"].get<std::string>(), std::nullopt};
  if (entry.contains("value")) field.json = entry["value"].dump();
  return field;
}

// The four that MakeReceipt puts in front of every record: there, of their type, never redacted.
Result<> CheckHeading(const Json& fields) {
  for (const char* name : kHeading) {
    const auto entry = fields.find(name);
    const bool there = entry != fields.end() && entry->is_object() && entry->contains("value");
    const bool number = std::string_view(name) == "contract";
    if (!there || !(number ? IsContract((*entry)["value"]) : (*entry)["value"].is_string())) {
      return Refuse("payload: field '{0}' is missing or not {1}", name,
                    number ? "a positive integer" : "a string");
    }
  }
  return Ok{};
}

Result<Payload> ReadChecked(std::string_view text) {
  const Json json = Json::parse(text);
  if (!json.is_object()) return Refuse("payload: found {0}, expected an object", json.type_name());
  for (const auto& [key, value] : json.items()) {
    if (key != "receipt" && key != "root" && key != "fields")
      return Refuse("payload: unknown key '{0}'", key);
  }
  if (!json.contains("receipt") || json["receipt"] != kReceiptVersion) {
    return Refuse("payload: not version {0} of a receipt", kReceiptVersion);
  }
  if (!json.contains("root") || !IsDigest(json["root"])) return Refuse("payload: no root digest");
  if (!json.contains("fields") || !json["fields"].is_object()) return Refuse("payload: no fields");
  if (json["fields"].size() > kReceiptFieldsMax) {
    return Refuse("payload: {0} fields, the most is {1}", json["fields"].size(), kReceiptFieldsMax);
  }
  TATARA_RETURN_IF_ERROR(CheckHeading(json["fields"]));
  Payload payload{json["root"].get<std::string>(), {}};
  for (const auto& [name, entry] : json["fields"].items()) {
    TATARA_TRY(auto field, ReadField(name, entry));
    payload.fields.push_back(std::move(field));
  }
  return payload;
}

}  // namespace

Result<std::string> CanonicalJson(std::string_view name, std::string_view json) {
  if (JsonNestsTooDeeply(json)) {
    return Refuse("field '{0}': nested more than {1} deep", name, kJsonNestingMax);
  }
  try {
    return Json::parse(json).dump();
  } catch (const nlohmann::json::exception& error) {
    return Refuse("field '{0}': not JSON: {1}", name, error.what());
  }
}

std::string FieldDigest(std::string_view name, std::string_view canonical_json) {
  return ToHex(Sha256().Update(name).Update("\n").Update(canonical_json).Finish());
}

std::string RootDigest(const std::vector<ReceiptField>& fields) {
  Sha256 digest;
  for (const ReceiptField& field : fields)
    digest.Update(field.name).Update(" ").Update(field.sha256).Update("\n");
  return ToHex(digest.Finish());
}

std::string WritePayload(const std::vector<ReceiptField>& fields) {
  Json entries = Json::object();
  for (const ReceiptField& field : fields) {
    Json& entry = entries[field.name];
    entry["sha256"] = field.sha256;
    if (field.json) entry["value"] = Json::parse(*field.json);
  }
  return Json{
      {"receipt", kReceiptVersion}, {"root", RootDigest(fields)}, {"fields", std::move(entries)}}
      .dump();
}

Result<Payload> ReadPayload(std::string_view text) {
  try {
    TATARA_TRY(Payload payload, ReadChecked(text));
    const std::string again = Json::parse(text).dump();
    if (again != text) {
      return Refuse("payload: byte {0} is not as a receipt is written",
                    FirstDifference(again, text));
    }
    return payload;
  } catch (const nlohmann::json::parse_error& error) {
    return Refuse("payload: byte {0}: not JSON", error.byte);
  } catch (const nlohmann::json::exception& error) {
    return Refuse("payload: not JSON: {0}", error.what());
  }
}

DigestProblems CheckDigests(const Payload& payload) {
  DigestProblems problems;
  for (const ReceiptField& field : payload.fields) {
    if (field.json && FieldDigest(field.name, *field.json) != field.sha256)
      problems.fields.push_back(field.name);
  }
  problems.root = RootDigest(payload.fields) != payload.root;
  return problems;
}

}  // namespace tatara::ledger
