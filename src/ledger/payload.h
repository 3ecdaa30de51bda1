// The payload of a receipt: JSON text to fields and back, digests, the root.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/ledger/receipt.h"

namespace tatara::ledger {

// What every receipt begins with.
inline constexpr const char* kHeading[] = {"kind", "created", "program", "contract"};

// The one spelling of a value: compact, UTF-8, key order kept. Refused where it is not JSON.
Result<std::string> CanonicalJson(std::string_view name, std::string_view json);

std::string FieldDigest(std::string_view name, std::string_view canonical_json);
std::string RootDigest(const std::vector<ReceiptField>& fields);

std::string WritePayload(const std::vector<ReceiptField>& fields);

struct Payload {
  std::string root;
  std::vector<ReceiptField> fields;
};

// Refused, naming the place: not JSON, another shape or version, an unknown key, another spelling.
Result<Payload> ReadPayload(std::string_view payload);

// Fields whose values do not have their digest, by name; and the root.
struct DigestProblems {
  std::vector<std::string> fields;
  bool root = false;
};
DigestProblems CheckDigests(const Payload& payload);

}  // namespace tatara::ledger
