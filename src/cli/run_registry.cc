#include "run_registry.h"

#include <algorithm>

#include "json_output.h"
#include "tatara/base/clock.h"
#include "tatara/base/files.h"
#include "tatara/base/nearest.h"
#include "tatara/base/sha256.h"
#include "tatara/learn/run_folder.h"

namespace tatara::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kEntryBytesMax = 1 << 16;
constexpr std::size_t kRunsMax = 10'000;
constexpr std::size_t kFileDigits = 24;

fs::path RegistryFolder() {
  return TataraHome() / "runs";
}

fs::path Absolute(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  return error ? fs::absolute(path, error) : whole;
}

// Nothing where the file is no entry: it was written by another program, or by hand.
std::optional<RegisteredRun> ReadEntry(const fs::path& path) {
  const auto text = ReadWholeFile(path, kEntryBytesMax);
  if (!text.ok()) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const auto take = [&](const char* key, auto& to) {
    if (!json.is_object() || !json.contains(key) || !json[key].is_string()) return false;
    to = json[key].get<std::string>();
    return true;
  };
  RegisteredRun run;
  std::string folder;
  if (!take("name", run.name) || !take("folder", folder) || !take("started", run.started_utc)) {
    return std::nullopt;
  }
  run.folder = folder;
  return run;
}

}  // namespace

Result<> RegisterRun(const std::string& name, const fs::path& folder) {
  const fs::path absolute = Absolute(folder);
  std::error_code error;
  fs::create_directories(RegistryFolder(), error);
  if (error) {
    return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", RegistryFolder().string(),
                     error.message());
  }
  const fs::path path =
      RegistryFolder() / (Sha256Hex(absolute.string()).substr(0, kFileDigits) + ".json");
  const Json entry = {{"name", name},
                      {"folder", absolute.string()},
                      {"started", FormatUtc(SystemClock().UnixSeconds())}};
  return WriteFileAtomically(path,
                             entry.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::vector<RegisteredRun>> RegisteredRuns() {
  std::vector<RegisteredRun> runs;
  std::error_code error;
  for (fs::directory_iterator it(RegistryFolder(), error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".json" || runs.size() >= kRunsMax) continue;
    if (auto run = ReadEntry(it->path())) runs.push_back(std::move(*run));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return MakeError(ErrorKind::kIo, "{0}: cannot read: {1}", RegistryFolder().string(),
                     error.message());
  }
  std::ranges::sort(runs, [](const RegisteredRun& a, const RegisteredRun& b) {
    return std::pair(b.started_utc, a.folder) < std::pair(a.started_utc, b.folder);
  });
  return runs;
}

fs::path RunNamed(const std::string& what) {
  if (learn::IsRunFolder(what)) return what;
  const fs::path here = fs::path("runs") / what;
  if (learn::IsRunFolder(here)) return here;
  const auto runs = RegisteredRuns();
  if (!runs.ok()) return {};
  for (const RegisteredRun& run : *runs) {
    if (run.name == what && learn::IsRunFolder(run.folder)) return run.folder;
  }
  return {};
}

Result<fs::path> FindRun(const std::string& what) {
  if (fs::path found = RunNamed(what); !found.empty()) return found;
  TATARA_TRY(const auto runs, RegisteredRuns());
  std::vector<std::string_view> names;
  for (const RegisteredRun& run : runs) names.push_back(run.name);
  const std::string nearest = Nearest(what, names);
  if (nearest.empty()) {
    return MakeError(ErrorKind::kNotFound,
                     "'{0}': no run of that name and no run's folder; 'tatara runs list' shows "
                     "those of this machine",
                     what);
  }
  return MakeError(ErrorKind::kNotFound,
                   "'{0}': no run of that name and no run's folder; the nearest name is '{1}'",
                   what, nearest);
}

}  // namespace tatara::cli
