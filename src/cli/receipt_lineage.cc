#include "receipt_lineage.h"

#include <algorithm>
#include <fstream>

#include "json_output.h"
#include "tatara/base/files.h"
#include "tatara/base/sha256.h"
#include "tatara/ledger/object_store.h"
#include "tatara/ledger/receipt.h"

namespace tatara::cli {
namespace {

// The field's value; null where there is none or it was left out.
Json ValueOf(const ledger::Receipt& receipt, std::string_view name) {
  const ledger::ReceiptField* field = receipt.Find(name);
  if (field == nullptr || !field->json) return nullptr;
  return Json::parse(*field->json, nullptr, /*allow_exceptions=*/false);
}

void AddInput(std::vector<LineagePart>& inputs, const std::string& role, const Json& name,
              const Json& sha256) {
  if (!sha256.is_string() || !ledger::IsDigestText(sha256.get_ref<const std::string&>())) return;
  LineagePart part{.role = role,
                   .name = name.is_string() ? name.get<std::string>() : std::string(),
                   .sha256 = sha256.get<std::string>()};
  const bool known = std::ranges::any_of(
      inputs, [&](const LineagePart& one) { return one.sha256 == part.sha256; });
  if (!known) inputs.push_back(std::move(part));
}

std::vector<LineagePart> InputsOf(const ledger::Receipt& receipt) {
  std::vector<LineagePart> inputs;
  AddInput(inputs, "model", ValueOf(receipt, "input.model_name"),
           ValueOf(receipt, "input.model_sha256"));
  for (const char* field : {"input.adapter", "input.merged_adapter"}) {
    const Json adapter = ValueOf(receipt, field);
    if (!adapter.is_object()) continue;
    AddInput(inputs, "adapter", adapter.value("name", Json()), adapter.value("sha256", Json()));
  }
  const Json passages = ValueOf(receipt, "input.passages");
  if (!passages.is_array()) return inputs;
  for (const Json& passage : passages) {
    if (!passage.is_object()) continue;
    AddInput(inputs, "document", passage.value("document", Json()),
             passage.value("document_sha256", Json()));
  }
  return inputs;
}

}  // namespace

Result<ledger::LineageRecord> RecordOfReceipt(const std::string& path) {
  TATARA_TRY(const std::string bytes, ReadWholeFile(path, ledger::kReceiptBytesMax));
  const ledger::VerifyReport report = ledger::VerifyReceipt(bytes, {});
  if (!report.ok) return Refuse("{0}: not as it was signed: {1}", path, report.first_difference);
  const ledger::Receipt& receipt = *report.receipt;
  ledger::LineageRecord record{.created_utc = receipt.created_utc,
                               .program_version = receipt.program_version,
                               .numerics_contract = receipt.numerics_contract};
  record.event = {.kind = receipt.kind, .name = path, .inputs = InputsOf(receipt)};
  record.event.facts.emplace_back("key", Json(report.key_id).dump());
  record.event.outputs.push_back({"receipt", path, Sha256Hex(bytes), bytes.size()});
  return record;
}

bool LooksLikeReceipt(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(1024, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return start.find(ledger::kReceiptPayloadType) != std::string::npos;
}

}  // namespace tatara::cli
