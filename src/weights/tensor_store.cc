#include "tatara/weights/tensor_store.h"

#include <new>
#include <utility>

#include "gguf_reader.h"
#include "tatara/base/files.h"
#include "utf8.h"

namespace tatara::weights {
namespace {

class GgufStore : public TensorStore {
 public:
  GgufStore(MappedFile file, Metadata metadata)
      : file_(std::move(file)), metadata_(std::move(metadata)) {}

  const Metadata& metadata() const override { return metadata_; }
  const std::map<std::string, TensorView, std::less<>>& tensors() const override {
    return tensors_;
  }
  const std::filesystem::path& path() const override { return file_.path(); }

  Result<> Add(GgufTensor tensor) {
    if (!tensor.type->dtype) {
      return Refuse("{0}: tensor '{1}' has the type {2}, which this version does not compute with",
                    path().string(), Printable(tensor.name), tensor.type->name);
    }
    const auto [at, added] = tensors_.try_emplace(std::move(tensor.name));
    TATARA_CHECK(added);
    at->second = {.name = at->first,
                  .dtype = *tensor.type->dtype,
                  .n_dims = tensor.n_dims,
                  .shape = tensor.shape,
                  .data = file_.bytes().subspan(tensor.offset, tensor.n_bytes)};
    return Ok{};
  }

 private:
  MappedFile file_;
  Metadata metadata_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

// Large models are published in parts, each a GGUF file of its own with some of the tensors.
Result<> RefuseParts(const Metadata& metadata) {
  TATARA_TRY(const auto n_parts, metadata.IntOr("split.count", 0));
  if (n_parts > 1) {
    return Refuse("{0}: one of {1} parts of a model; join them first (llama-gguf-split --merge)",
                  metadata.origin(), n_parts);
  }
  return Ok{};
}

Result<std::unique_ptr<TensorStore>> OpenGguf(MappedFile file) {
  TATARA_TRY(GgufHead head, ReadGgufHead(file.bytes(), file.path().string()));
  TATARA_RETURN_IF_ERROR(RefuseParts(head.metadata));
  auto store = std::make_unique<GgufStore>(std::move(file), std::move(head.metadata));
  for (GgufTensor& tensor : head.tensors) TATARA_RETURN_IF_ERROR(store->Add(std::move(tensor)));
  return std::unique_ptr<TensorStore>(std::move(store));
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
  TATARA_TRY(MappedFile file, MappedFile::Open(path));
  try {
    return OpenGguf(std::move(file));
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorKind::kUnavailable, "{0}: not enough memory for its metadata",
                     path.string());
  }
}

}  // namespace tatara::weights
