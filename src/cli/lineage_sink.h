// What commands record of themselves in the ledger: the command line as it was typed is added here.
#pragma once

#include "tatara/base/lineage.h"

namespace tatara::cli {

void RememberCommandLine(int argc, const char* const* argv);

// Records in the ledger of the data directory. What was made stands whether or not this succeeds: a
// failure is said on standard error.
void RecordLineage(LineageEvent event);

// A file as a part: its digest is taken now.
Result<LineagePart> FilePart(const std::string& role, const std::string& name,
                             const std::string& path);

}  // namespace tatara::cli
