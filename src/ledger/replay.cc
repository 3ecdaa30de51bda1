#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "payload.h"
#include "tatara/base/localise.h"
#include "tatara/base/version.h"
#include "tatara/ledger/receipt.h"

namespace tatara::ledger {
namespace {

using Json = nlohmann::ordered_json;

bool IsOutput(std::string_view name) {
  return name.starts_with("output.");
}

// Inputs as the replayer gets them: recorded values, originals in place of redacted ones.
Result<RecordFields> Inputs(const Receipt& receipt, const RecordFields& originals) {
  for (const auto& [name, json] : originals) {
    if (receipt.Find(name) == nullptr)
      return Refuse("original '{0}': the receipt has no field of this name", name);
  }
  RecordFields inputs;
  for (const ReceiptField& field : receipt.fields) {
    if (IsOutput(field.name)) continue;
    if (field.json) {
      inputs[field.name] = *field.json;
      continue;
    }
    const auto original = originals.find(field.name);
    if (original == originals.end()) continue;
    TATARA_TRY(std::string canonical, CanonicalJson(field.name, original->second));
    if (FieldDigest(field.name, canonical) != field.sha256) {
      return Refuse("original '{0}': does not have the digest that the receipt records",
                    field.name);
    }
    inputs[field.name] = std::move(canonical);
  }
  return inputs;
}

// Where two values differ: the index of the first element, the byte of the first character, or both
// values.
std::string Difference(const std::string& recorded_text, const std::string& replayed_text) {
  const Json recorded = Json::parse(recorded_text, nullptr, false),
             replayed = Json::parse(replayed_text, nullptr, false);
  if (recorded.is_array() && replayed.is_array()) {
    std::size_t i = 0;
    while (i < recorded.size() && i < replayed.size() && recorded[i] == replayed[i]) ++i;
    const auto at = [&](const Json& array) {
      return i < array.size() ? array[i].dump() : Tr("nothing");
    };
    return Tr("at index {0}: recorded {1}, now {2}", i, at(recorded), at(replayed));
  }
  if (recorded.is_string() && replayed.is_string()) {
    const auto &a = recorded.get_ref<const std::string&>(),
               &b = replayed.get_ref<const std::string&>();
    std::size_t i = 0;
    while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
    return Tr("at byte {0} of {1} recorded and {2} now", i, a.size(), b.size());
  }
  return Tr("recorded {0}, now {1}", recorded_text, replayed_text);
}

Result<FieldComparison> Compare(const ReceiptField& field, const RecordFields& replayed) {
  FieldComparison comparison{.name = field.name};
  const auto now = replayed.find(field.name);
  if (now == replayed.end()) {
    comparison.difference = Tr("the replay did not give it");
    return comparison;
  }
  TATARA_TRY(const std::string canonical, CanonicalJson(field.name, now->second));
  comparison.equal = FieldDigest(field.name, canonical) == field.sha256;
  if (!comparison.equal) {
    comparison.difference = field.json ? Difference(*field.json, canonical)
                                       : Tr("its digest differs (the text is redacted)");
  }
  return comparison;
}

}  // namespace

Result<ReplayReport> ReplayReceipt(const Receipt& receipt, const RecordFields& originals,
                                   Replayer& replayer) {
  if (receipt.kind != replayer.kind()) {
    return Refuse("the receipt is of kind '{0}', not '{1}'", receipt.kind, replayer.kind());
  }
  if (receipt.numerics_contract != kNumericsContract) {
    return Refuse(
        "the receipt was made under numerics contract {0}, this program keeps {1}: use a program "
        "of that "
        "contract",
        receipt.numerics_contract, kNumericsContract);
  }
  TATARA_TRY(const RecordFields inputs, Inputs(receipt, originals));
  TATARA_TRY(const RecordFields replayed, replayer.Replay(inputs));
  ReplayReport report;
  for (const ReceiptField& field : receipt.fields) {
    if (!IsOutput(field.name)) continue;
    TATARA_TRY(FieldComparison comparison, Compare(field, replayed));
    if (!comparison.equal && report.first_difference.empty()) {
      report.first_difference = fmt::format("{}: {}", comparison.name, comparison.difference);
    }
    report.fields.push_back(std::move(comparison));
  }
  if (report.fields.empty()) return Refuse("the receipt has no output to compare");
  report.ok = report.first_difference.empty();
  return report;
}

}  // namespace tatara::ledger
