#include <fmt/format.h>

#include "commands.h"
#include "json_output.h"
#include "tatara/base/localise.h"
#include "tatara/base/version.h"
#include "tatara/numerics/isa.h"

namespace tatara::cli {

Result<int> Version(const VersionOptions& options) {
  const std::string isa(numerics::IsaName(numerics::ActiveIsa()));
  if (options.json) {
    OutJson({{"version", kVersion}, {"numerics_contract", kNumericsContract}, {"isa", isa}});
  } else {
    Out(fmt::format("tatara {}\n{}\n", kVersion,
                    Tr("numerics contract {0}, instruction set {1}", kNumericsContract, isa)));
  }
  return 0;
}

}  // namespace tatara::cli
