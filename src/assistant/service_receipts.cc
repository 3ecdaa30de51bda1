// Receipts of a service: kept as the fields they consist of, signed when they are asked for.

#include <nlohmann/json.hpp>

#include "generate_job.h"
#include "receipt_store.h"
#include "service_model.h"
#include "tatara/assistant/ask.h"
#include "tatara/generate/run_record.h"
#include "tatara/ledger/receipt.h"

namespace tatara::assistant {
namespace {

using Json = nlohmann::ordered_json;

std::string StoredReceipt(std::string_view kind, std::int64_t created_unix,
                          const RecordFields& fields) {
  Json content = {{"kind", kind}, {"created_unix", created_unix}, {"fields", Json::object()}};
  for (const auto& [name, value] : fields) content["fields"][name] = value;
  return content.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void Service::KeepReceipt(const Model& model, const Caller& caller, const std::string& id,
                          const RunReceipt& receipt) {
  if (!receipts_->keeps()) return;
  RecordFields fields = generate::RunFields(model.engine->engine(), receipt.request, receipt.origin,
                                            receipt.completion);
  // A digest of all logits was not taken; without the field a replay does not compare it.
  fields.erase("output.logits_sha256");
  receipts_->Keep(caller.tenant, id, StoredReceipt("run", receipt.created_unix, fields));
}

void Service::KeepAskReceipt(const AskCall& call, const AskAnswer& answer) {
  if (!receipts_->keeps()) return;
  receipts_->Keep(call.caller.tenant, call.id,
                  StoredReceipt("ask", options_.clock->UnixSeconds(), answer.record));
}

Result<std::string> Service::Receipt(const Caller& caller, std::string_view id) const {
  TATARA_TRY(const std::string text, receipts_->Find(caller.tenant, id));
  const Json content = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto broken = [&] {
    return Refuse("the receipt '{0}' is kept here, but its file is damaged", id.substr(0, 200));
  };
  if (!content.is_object() || !content.contains("created_unix") || !content.contains("fields") ||
      !content["created_unix"].is_number_integer() || !content["fields"].is_object() ||
      !content.contains("kind") || !content["kind"].is_string()) {
    return broken();
  }
  ledger::NewReceipt receipt{.kind = content["kind"].get<std::string>(),
                             .created_utc = FormatUtc(content["created_unix"].get<std::int64_t>())};
  // By name, so the inputs come first.
  for (const auto& [name, value] : content["fields"].items()) {
    if (!value.is_string()) return broken();
    receipt.fields.emplace_back(name, value.get<std::string>());
  }
  TATARA_TRY(const auto key, ledger::SigningKey::LoadOrCreate(options_.home));
  return ledger::MakeReceipt(receipt, key);
}

Result<> Service::DeleteReceipt(const Caller& caller, std::string_view id) {
  return receipts_->Delete(caller.tenant, id);
}

void Service::DeleteReceipts(const Caller& caller) {
  receipts_->DeleteAll(caller.tenant);
}

ReceiptState Service::Receipts() const {
  const ReceiptCounts counts = receipts_->counts();
  return {.kept = counts.kept,
          .durable = counts.durable,
          .lost = counts.lost,
          .not_durable = counts.not_durable,
          .bytes = counts.bytes};
}

void Service::ForgetTenant(const Caller& caller) {
  DeleteReceipts(caller);
  for (const auto& model : models_) {
    if (model->engine == nullptr) continue;
    model->engine->Run([&](generate::Engine& engine) { engine.ForgetScope(caller.tenant); });
  }
}

Result<> Service::ForgetTenant(Caller caller, std::function<void()> done) {
  std::string key = caller.key;
  return asking_->Post(std::move(key), [this, caller = std::move(caller), done = std::move(done)] {
    ForgetTenant(caller);
    done();
  });
}

}  // namespace tatara::assistant
