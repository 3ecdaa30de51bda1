#include "digest_cache.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "tatara/base/files.h"
#include "tatara/base/sha256.h"

namespace tatara::weights {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::uint64_t kEntryBytesMax = 1 << 16;

std::int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

// What stays equal exactly as long as nobody wrote to the file. The change time can not be set back
// by hand.
Result<json> IdentityOf(const fs::path& file) {
  struct stat status;
  if (::stat(file.c_str(), &status) != 0) return ErrnoError("{0}: cannot open: {1}", file.string());
  return json{{"path", file.string()},
              {"bytes", static_cast<std::uint64_t>(status.st_size)},
              {"mtime_ns", Nanoseconds(status.st_mtim)},
              {"ctime_ns", Nanoseconds(status.st_ctim)},
              {"device", static_cast<std::uint64_t>(status.st_dev)},
              {"inode", static_cast<std::uint64_t>(status.st_ino)}};
}

// A file written within the last two seconds could be written again without its times telling: file
// systems count them in steps.
bool IsSettled(const json& identity, const Clock& clock) {
  constexpr std::int64_t kSettleSeconds = 2;
  return identity.at("ctime_ns").get<std::int64_t>() / 1'000'000'000 + kSettleSeconds <
         clock.UnixSeconds();
}

}  // namespace

Result<std::string> RememberedSha256(const fs::path& folder, const fs::path& file,
                                     const Clock& clock,
                                     const std::function<bool(std::uint64_t)>& progress) {
  std::error_code code;
  const fs::path absolute = fs::absolute(file, code);
  TATARA_TRY(const json identity, IdentityOf(code ? file : absolute));
  const std::string name = identity.at("path").get<std::string>();
  const fs::path entry = folder / (Sha256Hex(name).substr(0, 32) + ".json");
  if (const auto text = ReadWholeFile(entry, kEntryBytesMax); text.ok()) {
    const json remembered = json::parse(*text, nullptr, false);
    if (remembered.is_object() && remembered.value("identity", json()) == identity) {
      const json digest = remembered.value("sha256", json());
      if (digest.is_string() && digest.get<std::string>().size() == 64)
        return digest.get<std::string>();
    }
  }
  TATARA_TRY(const std::string sha256, Sha256OfFile(file, progress));
  const auto after = IdentityOf(code ? file : absolute);
  if (!after.ok() || *after != identity || !IsSettled(identity, clock)) return sha256;
  fs::create_directories(folder, code);
  const json out = {{"identity", identity}, {"sha256", sha256}};
  const auto written = WriteFileAtomically(
      entry, out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", {.mode = 0600});
  static_cast<void>(written.ok());  // remembering is only a convenience
  return sha256;
}

}  // namespace tatara::weights
