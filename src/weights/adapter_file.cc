// Adapters in GGUF, as llama.cpp's converter writes them: keys of the GGUF specification
// (general.type, adapter.type, adapter.lora.alpha), tensors "NAME.lora_a" (rank x inputs) and
// "NAME.lora_b" (outputs x rank) for the model's tensor NAME.

#include "tatara/weights/adapter_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>

#include "adapter_parts.h"
#include "huggingface/adapter_folder.h"
#include "tatara/base/files.h"
#include "tatara/base/utf8.h"
#include "tatara/weights/tensor_store.h"
#include "trained_folder.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffixA = ".lora_a";
constexpr std::string_view kSuffixB = ".lora_b";
constexpr std::string_view kSuffixMagnitude = ".lora_magnitude";  // of our own checkpoints

// Keys of the adapter that change no number.
constexpr std::array<std::string_view, 4> kKnownKeys = {
    "adapter.type", "adapter.lora.alpha", "adapter.lora.task_name", "adapter.lora.prompt_prefix"};

Result<> CheckKeys(const Metadata& keys, const Metadata& model) {
  const std::string& origin = keys.origin();
  TATARA_TRY(const std::string type, keys.StringOr("general.type", "model"));
  if (type != "adapter") {
    return Refuse("{0}: the key 'general.type' is '{1}', expected 'adapter'", origin,
                  Printable(type));
  }
  TATARA_TRY(const std::string kind, keys.String("adapter.type"));
  if (kind != "lora") {
    return Refuse("{0}: the key 'adapter.type' is '{1}'; only 'lora' is read", origin,
                  Printable(kind));
  }
  TATARA_TRY(const std::string architecture, keys.String("general.architecture"));
  TATARA_TRY(const std::string expected, model.String("general.architecture"));
  if (architecture != expected) {
    return Refuse("{0}: an adapter for '{1}' models, but {2} is a '{3}' model", origin,
                  Printable(architecture), model.origin(), Printable(expected));
  }
  for (const auto& [key, value] : keys.values()) {
    if (key.starts_with("adapter.") && std::ranges::find(kKnownKeys, key) == kKnownKeys.end()) {
      return Refuse(
          "{0}: the key '{1}' asks for something that adapters do not do here; ignoring it could "
          "give wrong answers",
          origin, Printable(key));
    }
  }
  return Ok{};
}

Result<> AddTensor(const TensorStore& store, const TensorView& view, AdapterFile& file) {
  if (view.name.ends_with(kSuffixMagnitude)) {
    AdapterPart& part =
        file.parts[std::string(view.name.substr(0, view.name.size() - kSuffixMagnitude.size()))];
    TATARA_TRY(part.magnitude, ReadMagnitude(store, view));
    return Ok{};
  }
  const bool is_a = view.name.ends_with(kSuffixA);
  if (!is_a && !view.name.ends_with(kSuffixB)) {
    return Refuse("{0}: the tensor '{1}' is neither '{2}' nor '{3}' of a matrix",
                  store.path().string(), Printable(view.name), kSuffixA, kSuffixB);
  }
  const std::string matrix(view.name.substr(0, view.name.size() - kSuffixA.size()));
  AdapterPart& part = file.parts[matrix];
  TATARA_TRY((is_a ? part.a : part.b), ReadFactor(store, view));
  return Ok{};
}

Result<AdapterFile> OpenGgufAdapter(const std::filesystem::path& path, const Metadata& model) {
  TATARA_TRY(const auto store, OpenTensorStore(path));
  const Metadata& keys = store->metadata();
  TATARA_RETURN_IF_ERROR(CheckKeys(keys, model));
  AdapterFile file;
  file.path = path;
  TATARA_TRY(file.architecture, keys.String("general.architecture"));
  TATARA_TRY(const double alpha, keys.Float("adapter.lora.alpha"));
  if (!std::isfinite(alpha)) {
    return Refuse("{0}: the key '{1}' is {2}", keys.origin(), "adapter.lora.alpha", alpha);
  }
  for (const auto& [name, view] : store->tensors()) {
    TATARA_RETURN_IF_ERROR(AddTensor(*store, view, file));
  }
  TATARA_RETURN_IF_ERROR(CheckParts(file));
  // llama.cpp takes an alpha of 0 for "not said": then the factors are used as they are.
  for (auto& [name, part] : file.parts) {
    part.scale = alpha == 0 ? 1.0 : alpha / static_cast<double>(part.rank());
  }
  fs::path weights = path;
  if (IsTrainedFolder(path)) {
    TATARA_TRY(const std::vector<fs::path> files, FilesOfTrained(path));
    weights = files[1];
  }
  TATARA_TRY(file.sha256, Sha256OfFile(weights));
  return file;
}

}  // namespace

Result<AdapterFile> OpenAdapter(const std::filesystem::path& path, const Metadata& model) {
  try {
    std::error_code ignored;
    if (IsTrainedFolder(path)) return OpenGgufAdapter(path, model);
    if (fs::is_directory(path, ignored)) return OpenPeftFolder(path, model);
    return OpenGgufAdapter(path, model);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory for this adapter",
                     path.string());
  }
}

}  // namespace tatara::weights
