#include "tatara/ledger/receipt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "envelope.h"
#include "payload.h"
#include "tatara/base/localise.h"
#include "tatara/base/version.h"

namespace tatara::ledger {
namespace {

using Json = nlohmann::ordered_json;

std::string JsonString(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string StringOf(const ReceiptField* field) {
  if (field == nullptr || !field->json) return {};
  const Json value = Json::parse(*field->json, nullptr, /*allow_exceptions=*/false);
  return value.is_string() ? value.get<std::string>() : std::string();
}

Receipt MakeView(std::vector<ReceiptField> fields) {
  Receipt receipt;
  receipt.fields = std::move(fields);
  receipt.kind = StringOf(receipt.Find("kind"));
  receipt.created_utc = StringOf(receipt.Find("created"));
  receipt.program_version = StringOf(receipt.Find("program"));
  if (const ReceiptField* contract = receipt.Find("contract"); contract && contract->json) {
    const Json value = Json::parse(*contract->json, nullptr, /*allow_exceptions=*/false);
    if (value.is_number_integer()) receipt.numerics_contract = value.get<int>();
  }
  return receipt;
}

}  // namespace

const ReceiptField* Receipt::Find(std::string_view name) const {
  for (const ReceiptField& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

Result<std::string> MakeReceipt(const NewReceipt& receipt, const SigningKey& key) {
  std::vector<std::pair<std::string, std::string>> all = {
      {"kind", JsonString(receipt.kind)},
      {"created", JsonString(receipt.created_utc)},
      {"program", JsonString(kVersion)},
      {"contract", std::to_string(kNumericsContract)}};
  all.insert(all.end(), receipt.fields.begin(), receipt.fields.end());
  if (all.size() > kReceiptFieldsMax) {
    return Refuse("payload: {0} fields, the most is {1}", all.size(), kReceiptFieldsMax);
  }
  std::vector<ReceiptField> fields;
  std::set<std::string_view> names;
  for (const auto& [name, json] : all) {
    if (!names.insert(name).second) return Refuse("receipt: the field '{0}' is given twice", name);
    TATARA_TRY(std::string canonical, CanonicalJson(name, json));
    ReceiptField field{name, FieldDigest(name, canonical), std::nullopt};
    const bool redact = receipt.redacted.contains(name);
    if (redact && std::find(std::begin(kHeading), std::end(kHeading), name) != std::end(kHeading)) {
      return Refuse("receipt: the field '{0}' cannot be redacted", name);
    }
    if (!redact) field.json = std::move(canonical);
    fields.push_back(std::move(field));
  }
  return Seal(WritePayload(fields), key);
}

VerifyReport VerifyReceipt(std::string_view bytes, const std::vector<TrustedKey>& trusted) {
  VerifyReport report;
  const auto add = [&](const Error& problem, std::string_view what) {
    if (report.first_difference.empty()) report.first_difference = what;
    report.problems.push_back(problem.text(CurrentLanguage()));
  };
  if (bytes.size() > kReceiptBytesMax) {
    add(Refuse("receipt: {0} bytes, the most is {1}", bytes.size(), kReceiptBytesMax), "size");
    return report;
  }
  const Opened envelope = OpenEnvelope(bytes);
  if (envelope.problem) {
    add(*envelope.problem, envelope.place);
    return report;
  }
  report.key_id = KeyId(envelope.key);
  for (const TrustedKey& key : trusted) {
    if (key.key == envelope.key) report.key_name = key.name;
  }
  auto payload = ReadPayload(envelope.payload);
  if (!payload.ok()) {
    add(payload.error(), payload.error().text());
    return report;
  }
  const DigestProblems problems = CheckDigests(*payload);
  for (const std::string& name : problems.fields) {
    add(Refuse("field '{0}': its value does not have its digest", name), name);
  }
  if (problems.root) {
    add(Refuse("the root digest does not fit the fields' names and digests"), "root");
  }
  if (!envelope.signature_is_right) {
    add(Refuse("the signature does not fit the content and the key"), "signature");
  }
  report.ok = report.problems.empty();
  report.receipt = MakeView(std::move(payload->fields));
  return report;
}

}  // namespace tatara::ledger
