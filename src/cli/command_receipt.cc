// verify and replay of receipts: checked, and run again.
#include <fmt/format.h>

#include "json_output.h"
#include "models_access.h"
#include "receipts.h"
#include "tatara/base/files.h"
#include "tatara/base/json_nesting.h"
#include "tatara/base/localise.h"
#include "tatara/ledger/receipt.h"
#include "tatara/numerics/isa.h"

namespace tatara::cli {
namespace {

Result<ledger::VerifyReport> VerifyFile(const std::string& file) {
  TATARA_TRY(const std::string bytes, ReadWholeFile(file, ledger::kReceiptBytesMax));
  TATARA_TRY(const auto trusted, ledger::LoadTrustedKeys(TataraHome()));
  return ledger::VerifyReceipt(bytes, trusted);
}

std::string KeyText(const ledger::VerifyReport& report) {
  if (!report.key_name.empty()) return Tr("trusted: {0}", report.key_name);
  return Tr("not among the keys that this machine trusts ({0})",
            (TataraHome() / "keys" / "trusted").string());
}

void PrintVerdict(const ledger::VerifyReport& report, const std::string& file) {
  for (const std::string& problem : report.problems) {
    Out((report.receipt ? Tr("not as it was signed: {0}", problem)
                        : Tr("{0}: no receipt that can be read: {1}", file, problem)) +
        "\n");
  }
  if (!report.ok) return;
  Out(Tr("unchanged since it was signed: kind {0}, {1}, program {2}, numerics contract {3}",
         report.receipt->kind, report.receipt->created_utc, report.receipt->program_version,
         report.receipt->numerics_contract) +
      "\n");
  Out(Tr("key {0}, {1}", report.key_id.substr(0, 16), KeyText(report)) + "\n");
}

Json Nullable(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

// The text of a field that holds a JSON string; empty where there is none.
std::string StringField(const ledger::Receipt& receipt, std::string_view name) {
  const ledger::ReceiptField* field = receipt.Find(name);
  if (field == nullptr || !field->json) return {};
  const Json value = Json::parse(*field->json, nullptr, /*allow_exceptions=*/false);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// Inputs that a redacted receipt leaves out.
std::vector<std::string> RedactedInputs(const ledger::Receipt& receipt) {
  std::vector<std::string> names;
  for (const ledger::ReceiptField& field : receipt.fields) {
    if (!field.json && field.name.starts_with("input.")) names.push_back(field.name);
  }
  return names;
}

Result<RecordFields> ParseOriginals(const std::string& file) {
  TATARA_TRY(const std::string text, ReadWholeFile(file, ledger::kReceiptBytesMax));
  if (JsonNestsTooDeeply(text))
    return Refuse("{0}: nested more than {1} deep", file, kJsonNestingMax);
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Refuse("{0}: not a JSON object of field names and values", file);
  RecordFields originals;
  for (const auto& [name, value] : json.items()) originals[name] = value.dump();
  return originals;
}

// The texts that the receipt leaves out: from --originals, else from the file that was written
// beside it.
Result<RecordFields> ReadOriginals(const ReplayOptions& options, const ledger::Receipt& receipt) {
  std::vector<std::string> needed = RedactedInputs(receipt);
  if (needed.empty()) return RecordFields{};
  const std::string beside = OriginalsPath(options.file);
  RecordFields originals;
  std::error_code ignored;
  if (!options.originals.empty() || std::filesystem::exists(beside, ignored)) {
    TATARA_TRY(originals, ParseOriginals(options.originals.empty() ? beside : options.originals));
  }
  std::erase_if(needed, [&](const std::string& name) { return originals.contains(name); });
  if (!needed.empty()) {
    return Refuse("{0}: the receipt leaves out {1}; give the originals with --originals",
                  options.file, fmt::format("{}", fmt::join(needed, ", ")));
  }
  return originals;
}

// Where an adapter lies that a receipt names: a path, or the name of a tuned model.
std::string AdapterPlace(const std::string& name) {
  std::error_code ignored;
  if (name.find('/') == name.npos && !std::filesystem::exists(name, ignored)) {
    const auto tuned = ResolveModel(name);
    if (tuned.ok() && !tuned->adapter.empty()) return tuned->adapter.string();
  }
  return name;
}

// Has the model opened with the adapter that the receipt names, from where it says or from `path`.
// Whether it is the same one is the replayer's to say.
void UseAdapterOf(const ledger::Receipt& receipt, const std::string& path, ModelOptions& model) {
  for (const char* name : {"input.adapter", "input.merged_adapter"}) {
    const ledger::ReceiptField* field = receipt.Find(name);
    if (field == nullptr || !field->json) continue;
    const Json value = Json::parse(*field->json, nullptr, /*allow_exceptions=*/false);
    const bool is_adapter = value.is_object() && value.contains("name") &&
                            value["name"].is_string() && value.contains("form") &&
                            value["form"].is_string() && value.contains("scale") &&
                            value["scale"].is_number();
    if (!is_adapter) continue;
    model.adapter_name = value["name"].get<std::string>();
    model.adapter = fmt::format("{}:{}", path.empty() ? AdapterPlace(model.adapter_name) : path,
                                value["scale"].get<double>());
    const std::string form = value["form"].get<std::string>();
    model.merge = form != generate::AdapterFormName(generate::AdapterForm::kHot);
    model.requantise = form == generate::AdapterFormName(generate::AdapterForm::kMergedRequantised);
  }
}

// The adapter's name in the receipt, hot or merged; empty where it used none.
std::string AdapterNameOf(const ledger::Receipt& receipt) {
  for (const char* name : {"input.adapter", "input.merged_adapter"}) {
    const ledger::ReceiptField* field = receipt.Find(name);
    if (field == nullptr || !field->json) continue;
    const Json value = Json::parse(*field->json, nullptr, /*allow_exceptions=*/false);
    if (value.is_object() && value.contains("name") && value["name"].is_string()) {
      return value["name"].get<std::string>();
    }
  }
  return {};
}

// The receipt's model on this machine: of the store, by its digest; else what a tuned model that
// the receipt names stands on.
Result<std::string> FindModelOf(const ledger::Receipt& receipt, const std::string& digest) {
  auto found = FindModelByDigest(digest);
  if (found.ok()) return found;
  const auto tuned = ResolveModel(AdapterNameOf(receipt));
  if (tuned.ok() && tuned->base_sha256 == digest) return tuned->path.string();
  return found;
}

// The model that the receipt names by digest, opened on the path (activations) that it used.
Result<std::unique_ptr<generate::Engine>> OpenReceiptModel(const ReplayOptions& options,
                                                           const ledger::Receipt& receipt) {
  ModelOptions model{.model = options.model, .n_threads = options.n_threads};
  const std::string digest = StringField(receipt, "input.model_sha256");
  if (model.model.empty()) {
    TATARA_TRY(model.model, FindModelOf(receipt, digest));
  }
  TATARA_TRY(const std::string found, ModelDigest(model.model));
  if (found != digest) {
    return Refuse("{0}: SHA-256 is {1}, the receipt's model has {2}", model.model, found, digest);
  }
  if (const std::string activations = StringField(receipt, "input.activations");
      !activations.empty()) {
    model.activations = activations;
  }
  UseAdapterOf(receipt, options.adapter, model);
  return OpenEngine(model);
}

Result<ledger::ReplayReport> ReplayOnModel(const ReplayOptions& options,
                                           const ledger::Receipt& receipt) {
  TATARA_TRY(const RecordFields originals, ReadOriginals(options, receipt));
  TATARA_TRY(const auto engine, OpenReceiptModel(options, receipt));
  generate::RunReplayer run(*engine);
  const auto ask = assistant::MakeAskReplayer(*engine);
  for (Replayer* replayer : {static_cast<Replayer*>(&run), ask.get()}) {
    if (replayer->kind() == receipt.kind)
      return ledger::ReplayReceipt(receipt, originals, *replayer);
  }
  return Refuse("{0}: a receipt of kind '{1}', which this program can not replay", options.file,
                receipt.kind);
}

}  // namespace

Result<int> VerifyReceiptFile(const VerifyOptions& options) {
  TATARA_TRY(const ledger::VerifyReport report, VerifyFile(options.file));
  if (options.json) {
    Json out = {{"ok", report.ok},
                {"first_difference", Nullable(report.first_difference)},
                {"problems", report.problems},
                {"key_id", Nullable(report.key_id)},
                {"key_trusted", !report.key_name.empty()},
                {"key_name", Nullable(report.key_name)}};
    if (report.receipt) {
      out["kind"] = report.receipt->kind;
      out["created"] = report.receipt->created_utc;
      out["program"] = report.receipt->program_version;
      out["numerics_contract"] = report.receipt->numerics_contract;
    }
    OutJson(out);
  } else {
    PrintVerdict(report, options.file);
  }
  return report.ok ? 0 : 1;
}

Result<int> ReplayReceiptFile(const ReplayOptions& options) {
  TATARA_TRY(const ledger::VerifyReport verified, VerifyFile(options.file));
  if (!verified.ok) {
    if (options.json) {
      OutJson(
          {{"ok", false}, {"verified", false}, {"first_difference", verified.first_difference}});
    } else {
      PrintVerdict(verified, options.file);
    }
    return 1;
  }
  TATARA_TRY(const ledger::ReplayReport report, ReplayOnModel(options, *verified.receipt));
  if (options.json) {
    Json fields = Json::array();
    for (const auto& field : report.fields) {
      fields.push_back({{"name", field.name},
                        {"equal", field.equal},
                        {"difference", Nullable(field.difference)}});
    }
    OutJson({{"ok", report.ok},
             {"verified", true},
             {"first_difference", Nullable(report.first_difference)},
             {"key_trusted", !verified.key_name.empty()},
             {"isa", numerics::IsaName(numerics::ActiveIsa())},
             {"fields", fields}});
  } else if (report.ok) {
    Out(Tr("equal: {0} outputs, bit for bit (instruction set {1})", report.fields.size(),
           numerics::IsaName(numerics::ActiveIsa())) +
        "\n");
    Out(Tr("key {0}, {1}", verified.key_id.substr(0, 16), KeyText(verified)) + "\n");
  } else {
    Out(Tr("different: {0}", report.first_difference) + "\n");
  }
  return report.ok ? 0 : 1;
}

}  // namespace tatara::cli
