// Which licence terms were accepted on this machine, and when. One file a licence; other terms
// under the same name have to be accepted anew. Thread safety: from any thread and process.
#pragma once

#include <filesystem>
#include <string>

#include "tatara/base/error.h"
#include "tatara/weights/catalogue.h"

namespace tatara::weights {

// When, in UTC; empty where these terms were not accepted.
std::string LicenceAcceptedAt(const std::filesystem::path& folder, const Licence& licence);

Result<> RecordLicenceAcceptance(const std::filesystem::path& folder, const Licence& licence,
                                 const std::string& utc);

}  // namespace tatara::weights
