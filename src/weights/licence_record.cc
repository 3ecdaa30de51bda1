#include "licence_record.h"

#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "tatara/base/sha256.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

fs::path PathOf(const fs::path& folder, const Licence& licence) {
  return folder /
         (Sha256Hex(licence.name + '\n' + licence.url + '\n' + licence.terms).substr(0, 16) +
          ".json");
}

}  // namespace

std::string LicenceAcceptedAt(const fs::path& folder, const Licence& licence) {
  const auto text = ReadWholeFile(PathOf(folder, licence), 1 << 20);
  if (!text.ok()) return {};
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return {};
  const auto at = json.find("accepted_utc");
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Result<> RecordLicenceAcceptance(const fs::path& folder, const Licence& licence,
                                 const std::string& utc) {
  std::error_code code;
  fs::create_directories(folder, code);
  const nlohmann::json out = {{"licence", licence.name},
                              {"url", licence.url},
                              {"terms", licence.terms},
                              {"accepted_utc", utc}};
  return WriteFileAtomically(
      PathOf(folder, licence),
      out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace tatara::weights
