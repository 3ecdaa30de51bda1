#include "receipts.h"

#include <filesystem>

#include "json_output.h"
#include "models_access.h"
#include "tatara/base/clock.h"
#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/ledger/receipt.h"

namespace tatara::cli {
namespace {

bool IsOutput(const std::string& name) {
  return name.starts_with("output.");
}

// Inputs first, then outputs: a reader, and a comparison, meets them in this order.
std::vector<std::pair<std::string, std::string>> InOrder(const RecordFields& record) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const bool outputs : {false, true}) {
    for (const auto& [name, json] : record) {
      if (IsOutput(name) == outputs) fields.emplace_back(name, json);
    }
  }
  return fields;
}

Result<> WriteOriginals(const std::string& path, const std::string& kind,
                        const RecordFields& record) {
  Json originals = Json::object();
  for (const auto& [name, json] : record) {
    if (RevealsText(kind, name) && !IsOutput(name)) originals[name] = Json::parse(json);
  }
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(path, originals.dump(1) + "\n", {.mode = 0600}));
  Remark(Tr("the texts that the receipt leaves out are in {0}; a replay needs them", path));
  return Ok{};
}

}  // namespace

bool RevealsText(std::string_view kind, std::string_view field) {
  return kind == "ask" ? assistant::RevealsText(field) : generate::RevealsText(field);
}

std::string OriginalsPath(const std::string& receipt_path) {
  std::filesystem::path path(receipt_path);
  return path.replace_extension(".originals.json").string();
}

Result<> WriteReceipt(const ReceiptTarget& target, const std::string& kind,
                      const RecordFields& record) {
  TATARA_TRY(const auto key, ledger::SigningKey::LoadOrCreate(TataraHome()));
  ledger::NewReceipt receipt{.kind = kind,
                             .created_utc = FormatUtc(SystemClock().UnixSeconds()),
                             .fields = InOrder(record)};
  if (target.redact) {
    for (const auto& [name, json] : record) {
      if (RevealsText(kind, name)) receipt.redacted.insert(name);
    }
    TATARA_RETURN_IF_ERROR(WriteOriginals(OriginalsPath(target.path), kind, record));
  }
  TATARA_TRY(const std::string content, ledger::MakeReceipt(receipt, key));
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(target.path, content, {.mode = 0600}));
  Remark(Tr("receipt: {0}; check it with: tatara verify {0}; run it again with: tatara replay {0}",
            target.path));
  return Ok{};
}

Result<> WriteRunReceipt(const RunOptions& options, const generate::Engine& engine,
                         const generate::Request& request, const std::string& prompt,
                         const generate::Completion& completion) {
  TATARA_TRY(const std::string digest, ModelDigest(options.model.model));
  const auto form =
      options.chat_file.empty() ? generate::PromptForm::kText : generate::PromptForm::kChat;
  const generate::PromptOrigin origin{options.model.model, digest, form, prompt};
  return WriteReceipt({options.receipt, options.redact}, "run",
                      generate::RunFields(engine, request, origin, completion));
}

Result<> WriteAskReceipt(const AskOptions& options, const assistant::AskAnswer& answer) {
  return WriteReceipt({options.receipt, options.redact}, "ask", answer.record);
}

}  // namespace tatara::cli
