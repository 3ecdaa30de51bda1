// A receipt as a record of lineage. Receipts are not entries of the log, which keeps for ever what
// it is given and would grow with every answer; each is signed by itself and says what its answer
// was made from.
#pragma once

#include <string>

#include "tatara/base/error.h"
#include "tatara/ledger/lineage.h"

namespace tatara::cli {

// Inputs: the model, its adapters and, of an answer from documents, those that were read; a
// redacted receipt leaves them out. Output: the file at `path`. Refuses what is no receipt, or is
// not as it was signed.
Result<ledger::LineageRecord> RecordOfReceipt(const std::string& path);

// Whether the file begins as a receipt does.
bool LooksLikeReceipt(const std::string& path);

}  // namespace tatara::cli
