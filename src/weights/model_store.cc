#include "tatara/weights/model_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "digest_cache.h"
#include "folder_walk.h"
#include "model_files.h"
#include "model_name.h"
#include "record.h"
#include "store_paths.h"
#include "tatara/base/localise.h"
#include "tatara/base/sha256.h"
#include "tatara/base/utf8.h"
#include "trained_folder.h"

namespace tatara::weights {
namespace fs = std::filesystem;

Result<FileLock> LockModel(const StorePaths& paths, std::string_view name, int wait_ms_max) {
  std::error_code code;
  fs::create_directories(paths.lock(""), code);
  if (code) {
    return MakeError(ErrorKind::kIo, "{0}: cannot write: {1}", paths.lock("").string(),
                     code.message());
  }
  auto lock = FileLock::Acquire(paths.lock(name), wait_ms_max);
  if (!lock.ok() && lock.error().kind() == ErrorKind::kUnavailable) {
    return MakeError(
        ErrorKind::kUnavailable,
        "{0}: another process is pulling or removing this model; try again when it has ended",
        name);
  }
  return lock;
}

namespace {

std::uint64_t PartialBytes(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return 0;
  const auto files = FilesBelow(folder);
  std::uint64_t total = 0;
  if (files.ok()) {
    for (const FoundFile& file : *files) total += file.n_bytes;
  }
  return total;
}

// Names of the folders in `folder` that can be models.
std::set<std::string> ModelNamesIn(const fs::path& folder) {
  std::set<std::string> out;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    std::error_code ignored;
    const std::string name = at->path().filename().string();
    if (IsModelName(name) && at->is_directory(ignored)) out.insert(name);
  }
  return out;
}

// What removing this folder gives back: files that are linked from elsewhere too give nothing.
std::uint64_t BytesOnlyHere(const fs::path& folder) {
  std::uint64_t total = 0;
  const auto files = FilesBelow(folder);
  if (!files.ok()) return 0;
  for (const FoundFile& file : *files) {
    struct stat status;
    if (::stat(file.path.c_str(), &status) == 0 && status.st_nlink == 1) total += file.n_bytes;
  }
  return total;
}

Error NotHere(const Catalogue& catalogue, std::string_view model) {
  if (catalogue.Find(model) != nullptr) {
    return MakeError(ErrorKind::kNotFound,
                     "{0} is not on this machine yet; fetch it with: tatara pull {0}", model);
  }
  const std::string near = catalogue.Nearest(model);
  if (near.empty()) {
    return MakeError(
        ErrorKind::kNotFound,
        "'{0}' is no model on this machine, no file and not in the catalogue (tatara models)",
        Printable(model));
  }
  return MakeError(
      ErrorKind::kNotFound,
      "'{0}' is no model on this machine, no file and not in the catalogue; did you mean '{1}'?",
      Printable(model), near);
}

}  // namespace

std::uint64_t LocalModel::n_bytes() const {
  std::uint64_t total = 0;
  for (const LocalFile& file : files) total += file.n_bytes;
  return total;
}

Result<ModelStore> ModelStore::Open(ModelStoreOptions options) {
  TATARA_TRY(Catalogue catalogue, LoadCatalogue(options.home));
  return ModelStore(std::move(options), std::move(catalogue));
}

Result<std::vector<ModelListing>> ModelStore::List() const {
  const StorePaths paths{options_.home};
  std::set<std::string> names = ModelNamesIn(paths.models());
  names.merge(ModelNamesIn(paths.partial("")));
  std::vector<ModelListing> out;
  const auto add = [&](const std::string& name) {
    ModelListing listing{.name = name};
    if (const CatalogueEntry* entry = catalogue_.Find(name)) listing.catalogue = *entry;
    std::error_code ignored;
    if (fs::exists(paths.model(name), ignored)) {
      auto record = ReadRecord(paths.model(name));
      if (record.ok()) {
        listing.local = *std::move(record);
      } else {
        listing.problem = record.error().text(CurrentLanguage());
      }
    }
    listing.partial_bytes = PartialBytes(paths.partial(name));
    out.push_back(std::move(listing));
  };
  for (const CatalogueEntry& model : catalogue_.models) {
    names.erase(model.name);
    add(model.name);
  }
  for (const std::string& name : names) add(name);
  return out;
}

Result<RemoveReport> ModelStore::Remove(std::string_view name) {
  constexpr int kLockWaitMs = 2000;
  const StorePaths paths{options_.home};
  std::error_code code;
  if (!IsModelName(name) ||
      (!fs::exists(paths.model(name), code) && !fs::exists(paths.partial(name), code))) {
    return MakeError(ErrorKind::kNotFound, "'{0}' is not on this machine", Printable(name));
  }
  TATARA_TRY(const FileLock lock, LockModel(paths, name, kLockWaitMs));
  RemoveReport report{.name = std::string(name)};
  const fs::path partial = paths.partial(name);
  fs::create_directories(partial, code);
  report.n_bytes_freed = BytesOnlyHere(partial);
  if (fs::exists(paths.model(name), code)) {
    report.n_bytes_freed += BytesOnlyHere(paths.model(name));
    // Out of sight at once; a crash while deleting leaves no half model.
    fs::remove_all(partial / "removed", code);
    fs::rename(paths.model(name), partial / "removed", code);
  }
  if (!code) fs::remove_all(partial, code);
  if (code) {
    return MakeError(ErrorKind::kIo, "{0}: cannot be removed: {1}", paths.model(name).string(),
                     code.message());
  }
  return report;
}

Result<ResolvedModel> ModelStore::Resolve(std::string_view model) const {
  TATARA_TRY(ResolvedModel resolved, ResolvePlain(model));
  return WithBase(std::move(resolved));
}

// Of an adapter the model that it is for, with the adapter beside it.
Result<ResolvedModel> ModelStore::WithBase(ResolvedModel tuned) const {
  const fs::path folder = tuned.local ? tuned.local->folder : tuned.path;
  TATARA_TRY(const std::optional<AdapterBase> base, AdapterBaseOf(folder));
  if (!base) return tuned;
  auto found = ResolvePlain(base->model);
  if (!found.ok()) {
    return MakeError(ErrorKind::kNotFound, "{0} is an adapter for '{1}': {2}", tuned.name,
                     Printable(base->model), found.error().text(CurrentLanguage()));
  }
  TATARA_TRY(const std::optional<AdapterBase> again,
             AdapterBaseOf(found->local ? found->local->folder : found->path));
  if (again) {
    return Refuse("{0} is an adapter for '{1}', which is an adapter itself", tuned.name,
                  Printable(base->model));
  }
  found->name = std::move(tuned.name);
  found->adapter = folder;
  found->base_sha256 = base->sha256;
  return found;
}

Result<ResolvedModel> ModelStore::ResolvePlain(std::string_view model) const {
  const StorePaths paths{options_.home};
  ResolvedModel out{.name = std::string(model)};
  std::error_code ignored;
  if (IsModelName(model) && fs::exists(paths.model(model), ignored)) {
    TATARA_TRY(LocalModel local, ReadRecord(paths.model(model)));
    if (fs::file_size(local.path(), ignored) != local.files.front().n_bytes || ignored) {
      return Refuse("{0}: this is not the file that was pulled; pull it again: tatara pull {1}",
                    local.path().string(), model);
    }
    out.path = local.path();
    out.local = std::move(local);
    if (const CatalogueEntry* entry = catalogue_.Find(model)) out.catalogue = *entry;
    return out;
  }
  const fs::path path(model);
  // A folder that happens to be called like a model of the catalogue is not meant.
  const bool is_path = model.find('/') != model.npos || fs::is_regular_file(path, ignored) ||
                       IsModelFolder(path) ||
                       (fs::is_directory(path, ignored) && catalogue_.Find(model) == nullptr);
  if (!is_path) return NotHere(catalogue_, model);
  if (fs::is_directory(path, ignored) && !IsModelFolder(path)) {
    return Refuse(
        "{0}: a folder with neither config.json nor checkpoints; name a model's file, or its "
        "folder",
        Printable(model));
  }
  if (!IsModelFolder(path) && !fs::is_regular_file(path, ignored)) {
    return MakeError(ErrorKind::kNotFound, "{0}: there is no such file", Printable(model));
  }
  out.path = path;
  return out;
}

namespace {

// The record of a file of a pulled model; null where it is none.
const LocalFile* RecordOf(const ResolvedModel& model, const fs::path& file) {
  if (!model.local) return nullptr;
  for (const LocalFile& known : model.local->files) {
    if (model.local->folder / known.path == file) return &known;
  }
  return nullptr;
}

}  // namespace

Result<std::string> ModelStore::DigestOf(const ResolvedModel& model, ProgressSink* progress,
                                         const StopFlag* stop) const {
  const std::vector<fs::path> files = FilesOfModel(model.path);
  std::error_code ignored;
  std::uint64_t total = 0;
  std::uint64_t before = 0;
  for (const fs::path& file : files) total += fs::file_size(file, ignored);
  const auto report = [&](std::uint64_t done) {
    if (progress) progress->Report(model.name, before + done, total);
    return stop == nullptr || !stop->IsSet();
  };
  std::string lines, sha256;
  for (const fs::path& file : files) {
    const LocalFile* known = RecordOf(model, file);
    if (known != nullptr && IsUnchanged(model.local->folder, *known)) {
      sha256 = known->sha256;
    } else {
      TATARA_TRY(sha256, RememberedSha256(StorePaths{options_.home}.digests(), file,
                                          *options_.clock, report));
    }
    if (known != nullptr && sha256 != known->sha256) {
      return Refuse("{0}: the SHA-256 is {1}, but {2} was pulled; pull it again: tatara pull {3}",
                    file.string(), sha256, known->sha256, model.name);
    }
    lines += sha256 + "  " + file.filename().string() + "\n";
    before += fs::file_size(file, ignored);
  }
  return files.size() > 1 ? Sha256Hex(lines) : sha256;
}

}  // namespace tatara::weights
