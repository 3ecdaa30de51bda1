// Receipts of run and ask, written and replayed.
#pragma once

#include "options.h"
#include "tatara/assistant/ask.h"
#include "tatara/base/error.h"
#include "tatara/generate/engine.h"
#include "tatara/generate/run_record.h"

namespace tatara::cli {

// Writes the receipt, signed by this machine's key. Redacted: the texts go into a private file
// beside it (OriginalsPath) that its owner keeps for a replay.
struct ReceiptTarget {
  std::string path;
  bool redact = false;
};
Result<> WriteReceipt(const ReceiptTarget& target, const std::string& kind,
                      const RecordFields& record);

// Whether a field of a record of this kind holds words that a redacted receipt leaves out.
bool RevealsText(std::string_view kind, std::string_view field);

// "r.json" -> "r.originals.json".
std::string OriginalsPath(const std::string& receipt_path);

Result<> WriteRunReceipt(const RunOptions& options, const generate::Engine& engine,
                         const generate::Request& request, const std::string& prompt,
                         const generate::Completion& completion);
Result<> WriteAskReceipt(const AskOptions& options, const assistant::AskAnswer& answer);

// `tatara verify` and `tatara replay` of a receipt's file; exit status 0 or 1.
Result<int> VerifyReceiptFile(const VerifyOptions& options);
Result<int> ReplayReceiptFile(const ReplayOptions& options);

}  // namespace tatara::cli
