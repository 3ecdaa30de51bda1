// Receipts: what an answer was made from and what came out, signed, so that a stranger can check
// that nothing was changed and run it again.
//
// The file is a DSSE envelope (Dead Simple Signing Envelope v1, payload type below) as one line of
// JSON. Its payload is one JSON object {"receipt": 1, "root": D, "fields": {NAME: {"sha256": D,
// "value": V}, …}}; a redacted field has no "value". A field's digest is SHA-256 over its name, a
// line end and the value's canonical JSON text; the root is SHA-256 over all lines "NAME SHA256\n"
// in order. The signature covers the payload's raw bytes. The only serialisation accepted is the
// one written here, so every changed byte is found.
//
// Thread safety: free functions and values.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tatara/base/error.h"
#include "tatara/base/replayer.h"
#include "tatara/ledger/keys.h"

namespace tatara::ledger {

inline constexpr std::string_view kReceiptPayloadType = "application/vnd.tatara.receipt+json";
inline constexpr int kReceiptVersion = 1;
inline constexpr std::uint64_t kReceiptBytesMax = 64ull << 20;
inline constexpr std::size_t kReceiptFieldsMax = 1000;

// What goes into a receipt besides kind, time, program version and numerics contract, which are
// added.
struct NewReceipt {
  std::string kind;  // "run", "ask"
  std::string created_utc;
  std::vector<std::pair<std::string, std::string>> fields;  // name, JSON text; order is kept
  std::set<std::string, std::less<>> redacted;              // names whose values are left out
};

// The file's content. Refused where a value is not JSON or a name is doubled.
Result<std::string> MakeReceipt(const NewReceipt& receipt, const SigningKey& key);

struct ReceiptField {
  std::string name;
  std::string sha256;
  std::optional<std::string> json;  // canonical; nothing where redacted
};

struct Receipt {
  std::string kind;
  std::string created_utc;
  std::string program_version;
  int numerics_contract = 0;
  std::vector<ReceiptField> fields;  // in the file's order, those four included
  const ReceiptField* Find(std::string_view name) const;
};

struct VerifyReport {
  bool ok = false;                    // nothing was changed since it was signed by `key_id`
  std::string first_difference;       // what was changed, empty where ok
  std::vector<std::string> problems;  // all that was found, in the current language
  std::string key_id;
  std::string key_name;            // of the trusted key; empty where it is not trusted
  std::optional<Receipt> receipt;  // where it could be read
};

// Checks envelope, signature, root and every field's digest; offline.
VerifyReport VerifyReceipt(std::string_view bytes, const std::vector<TrustedKey>& trusted);

struct FieldComparison {
  std::string name;
  bool equal = false;
  std::string difference;  // where they differ, empty where equal
};

struct ReplayReport {
  bool ok = false;
  std::string first_difference;
  std::vector<FieldComparison> fields;  // the outputs, in the receipt's order
};

// Runs a verified receipt again and compares each "output.…" field: by value, by digest where
// redacted. `originals` (JSON texts by field name) stand in for redacted inputs; each is checked
// against its digest. Refused: another contract version, a kind that `replayer` does not
// understand, an original that does not fit.
Result<ReplayReport> ReplayReceipt(const Receipt& receipt, const RecordFields& originals,
                                   Replayer& replayer);

}  // namespace tatara::ledger
