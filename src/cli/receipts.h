// Receipts of run and ask, written and replayed.
#pragma once

#include "options.h"
#include "tatara/assistant/ask.h"
#include "tatara/base/error.h"
#include "tatara/generate/engine.h"

namespace tatara::cli {

Result<> WriteRunReceipt(const RunOptions& options, const generate::Engine& engine,
                         const generate::Request& request, const std::string& prompt,
                         const generate::Completion& completion);
Result<> WriteAskReceipt(const AskOptions& options, const ModelOptions& model,
                         const assistant::AskAnswer& answer);

}  // namespace tatara::cli
