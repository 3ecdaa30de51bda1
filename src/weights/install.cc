// A model that was made here takes its place among the local ones.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "model_name.h"
#include "record.h"
#include "store_paths.h"
#include "tatara/base/files.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/model_store.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMade = "tune:";
constexpr int kLockWaitMs = 2000;

Result<> CheckName(const Catalogue& catalogue, const StorePaths& paths, std::string_view name) {
  if (!IsModelName(name)) return Refuse("'{0}' can not be a model's name", Printable(name));
  if (catalogue.Find(name) != nullptr) {
    return Refuse("'{0}' is a model of the catalogue; choose another name", name);
  }
  std::error_code ignored;
  if (!fs::exists(paths.model(name), ignored)) return Ok{};
  TATARA_TRY(const LocalModel there, ReadRecord(paths.model(name)));
  if (there.files.front().source.starts_with(kMade)) return Ok{};
  return Refuse(
      "'{0}' is a model that was pulled; choose another name, or remove it: tatara rm {0}", name);
}

// By rename, or by a copy where the file systems differ.
Result<> MoveFile(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::rename(from, to, code);
  if (!code) return Ok{};
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, code);
  if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", to.string(), code.message());
  fs::remove(from, code);
  return Ok{};
}

Result<> SyncFile(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  const int code = errno;
  if (fd >= 0) close(fd);
  if (synced) return Ok{};
  return MakeError(ErrorKind::kIo, "{0}: {1}", path.string(), std::strerror(code));
}

// One that is there is exchanged, so that the name leads to the one or the other at any moment;
// file systems that can not do that have a moment without.
Result<> PutInPlace(const fs::path& ready, const fs::path& place, const fs::path& old) {
  if (renameat2(AT_FDCWD, ready.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) == 0) {
    return Ok{};
  }
  std::error_code code;
  fs::remove_all(old, code);
  fs::rename(place, old, code);  // where there is one
  fs::rename(ready, place, code);
  if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", place.string(), code.message());
  return Ok{};
}

}  // namespace

Result<> ModelStore::CheckInstall(std::string_view name) const {
  return CheckName(catalogue_, StorePaths{options_.home}, name);
}

Result<LocalModel> ModelStore::Install(std::string_view name, const fs::path& folder,
                                       const std::vector<std::string>& files,
                                       std::string_view origin) {
  const StorePaths paths{options_.home};
  TATARA_RETURN_IF_ERROR(CheckName(catalogue_, paths, name));
  TATARA_TRY(const FileLock lock, LockModel(paths, name, kLockWaitMs));
  const fs::path ready = paths.partial(name) / "made";
  std::error_code code;
  fs::remove_all(ready, code);
  fs::create_directories(ready, code);
  if (code) return MakeError(ErrorKind::kIo, "{0}: {1}", ready.string(), code.message());
  LocalModel model{.name = std::string(name), .folder = paths.model(name)};
  for (const std::string& file : files) {
    TATARA_RETURN_IF_ERROR(MoveFile(folder / file, ready / file));
    TATARA_RETURN_IF_ERROR(SyncFile(ready / file));
    LocalFile entry{.path = file};
    TATARA_TRY(entry.sha256, Sha256OfFile(ready / file));
    entry.source = std::string(kMade) + std::string(origin);
    TATARA_RETURN_IF_ERROR(NoteFileStatus(ready, entry));
    model.files.push_back(std::move(entry));
  }
  model.pulled_utc = FormatUtc(options_.clock->UnixSeconds());
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(ready / kRecordName, RecordText(model)));
  TATARA_RETURN_IF_ERROR(SyncFolder(ready));
  TATARA_RETURN_IF_ERROR(PutInPlace(ready, model.folder, paths.partial(name) / "replaced"));
  std::error_code ignored;
  fs::remove_all(paths.partial(name), ignored);
  TATARA_RETURN_IF_ERROR(SyncFolder(paths.models()));
  return model;
}

}  // namespace tatara::weights
