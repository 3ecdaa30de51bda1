#include "tatara/weights/tensor_store.h"

#include <new>
#include <utility>

#include "e5_reader.h"
#include "held_store.h"
#include "safetensors_reader.h"
#include "tatara/base/files.h"
#include "trained_folder.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

Result<std::unique_ptr<TensorStore>> OpenFile(const fs::path& path) {
  TATARA_TRY(MappedFile file, MappedFile::Open(path));
  const ByteSpan bytes = file.bytes();
  if (bytes.size() >= 4 && AsText(bytes.first(4)) == kE5Magic) return OpenE5(std::move(file));
  if (LooksLikeSafetensors(bytes)) {
    // One file of a folder whose other files say what the tensors are.
    // What can not be looked at counts as there: opening it then says why.
    std::error_code error;
    const fs::file_status config = fs::status(path.parent_path() / "config.json", error);
    if (config.type() != fs::file_type::not_found) {
      return OpenHuggingFaceFolder(path.parent_path());
    }
    return OpenSafetensors(std::move(file));
  }
  return OpenGguf(std::move(file));
}

}  // namespace

const TensorView* TensorStore::Find(std::string_view name) const {
  const auto at = tensors().find(name);
  return at == tensors().end() ? nullptr : &at->second;
}

Result<TensorView> TensorStore::Get(std::string_view name, std::int64_t n_rows,
                                    std::int64_t n_cols) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr) return Refuse("{0}: the tensor '{1}' is missing", path().string(), name);
  if (tensor->n_rows() != n_rows || tensor->n_cols() != n_cols) {
    return Refuse("{0}: tensor '{1}' has {2} rows of {3}, expected {4} rows of {5}",
                  path().string(), name, tensor->n_rows(), tensor->n_cols(), n_rows, n_cols);
  }
  return *tensor;
}

Result<std::unique_ptr<TensorStore>> OpenTensorStore(const std::filesystem::path& path) {
  try {
    std::error_code error;
    if (IsTrainedFolder(path)) return OpenTrainedFolder(path);
    if (fs::is_directory(path, error)) return OpenHuggingFaceFolder(path);
    if (path.filename() == "config.json" || path.filename() == "model.safetensors.index.json") {
      return OpenHuggingFaceFolder(path.parent_path());
    }
    return OpenFile(path);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable,
                     "{0}: not enough memory for what has to be made of it", path.string());
  }
}

}  // namespace tatara::weights
