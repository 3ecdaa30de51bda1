#include "lineage_sink.h"

#include <filesystem>
#include <vector>

#include "tatara/base/files.h"
#include "tatara/base/localise.h"
#include "tatara/ledger/lineage.h"
#include "terminal.h"

namespace tatara::cli {
namespace {

std::vector<std::string>& CommandLine() {
  static std::vector<std::string> words;
  return words;
}

}  // namespace

void RememberCommandLine(int argc, const char* const* argv) {
  CommandLine().assign(argv, argv + argc);
  if (argc > 0) CommandLine().front() = std::filesystem::path(argv[0]).filename().string();
}

void RecordLineage(LineageEvent event) {
  event.command = CommandLine();
  ledger::LedgerSink sink(TataraHome());
  const auto recorded = sink.Record(event);
  if (!recorded.ok()) {
    Remark(Tr("not recorded in the ledger: {0}", recorded.error().text(CurrentLanguage())));
  }
}

Result<LineagePart> FilePart(const std::string& role, const std::string& name,
                             const std::string& path) {
  TATARA_TRY(std::string sha256, Sha256OfFile(path));
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  return LineagePart{role, name, std::move(sha256), error ? 0 : bytes};
}

}  // namespace tatara::cli
