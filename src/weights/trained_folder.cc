#include "trained_folder.h"

#include <algorithm>
#include <string>

#include "safetensors_store.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKeys = "keys.gguf";
constexpr const char* kWeights = "weights.safetensors";
constexpr std::string_view kStep = "step-";

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// The last checkpoint of a run; empty where there is none. Numbers have leading zeros, so the order
// of names is theirs.
fs::path LastCheckpoint(const fs::path& run) {
  fs::path last;
  std::error_code code;
  for (fs::directory_iterator at(run / "checkpoints", code), end; !code && at != end;
       at.increment(code)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(kStep) && IsFile(at->path() / kWeights) &&
        (last.empty() || name > last.filename().string())) {
      last = at->path();
    }
  }
  return last;
}

fs::path CheckpointOf(const fs::path& path) {
  return IsFile(path / kWeights) ? path : LastCheckpoint(path);
}

}  // namespace

bool IsTrainedFolder(const fs::path& path) {
  if (IsFile(path / "config.json")) return false;
  return IsFile(path / kWeights) || (IsFile(path / kKeys) && !LastCheckpoint(path).empty());
}

Result<std::vector<fs::path>> FilesOfTrained(const fs::path& path) {
  const fs::path checkpoint = CheckpointOf(path);
  if (checkpoint.empty()) {
    return MakeError(ErrorKind::kNotFound, "{0}: a run without a checkpoint", path.string());
  }
  std::error_code ignored;
  const fs::path whole = fs::absolute(checkpoint, ignored).lexically_normal();
  const fs::path folder = whole.has_filename() ? whole : whole.parent_path();
  for (const fs::path& keys : {folder / kKeys, folder.parent_path().parent_path() / kKeys}) {
    if (IsFile(keys)) return std::vector<fs::path>{keys, checkpoint / kWeights};
  }
  return MakeError(
      ErrorKind::kNotFound,
      "{0}: a checkpoint without its keys: keys.gguf is neither beside its weights nor "
      "in its run's folder",
      checkpoint.string());
}

Result<std::optional<AdapterBase>> AdapterBaseOf(const fs::path& folder) {
  fs::path keys_path = folder / kKeys;
  if (!IsFile(keys_path)) {
    if (!IsTrainedFolder(folder)) return std::optional<AdapterBase>();
    TATARA_TRY(const std::vector<fs::path> files, FilesOfTrained(folder));
    keys_path = files[0];
  }
  TATARA_TRY(MappedFile file, MappedFile::Open(keys_path));
  TATARA_TRY(const auto keys, OpenGguf(std::move(file)));
  TATARA_TRY(const std::string type, keys->metadata().StringOr("general.type", "model"));
  if (type != "adapter") return std::optional<AdapterBase>();
  AdapterBase base;
  TATARA_TRY(base.model, keys->metadata().String("tatara.base.model"));
  TATARA_TRY(base.sha256, keys->metadata().String("tatara.base.sha256"));
  return std::optional<AdapterBase>(std::move(base));
}

Result<std::unique_ptr<TensorStore>> OpenTrainedFolder(const fs::path& path) {
  TATARA_TRY(const std::vector<fs::path> files, FilesOfTrained(path));
  TATARA_TRY(MappedFile keys_file, MappedFile::Open(files[0]));
  TATARA_TRY(const auto keys, OpenGguf(std::move(keys_file)));
  auto store = std::make_unique<HeldStore>(files[1].parent_path(), keys->metadata());
  store->mutable_metadata().Set(std::string(kContainerKey), "checkpoint");
  TATARA_TRY(MappedFile weights, MappedFile::Open(files[1]));
  TATARA_RETURN_IF_ERROR(AddSafetensors(std::move(weights), *store));
  return std::unique_ptr<TensorStore>(std::move(store));
}

}  // namespace tatara::weights
