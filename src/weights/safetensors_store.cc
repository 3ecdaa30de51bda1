// A safetensors file by itself, without a folder that says what its tensors are.
#include "safetensors_store.h"

#include "safetensors_reader.h"

namespace tatara::weights {

namespace {

Result<> AddTensors(const SafetensorsHead& head, MappedFile file, HeldStore& store) {
  const ByteSpan bytes = store.Keep(std::move(file));
  for (const auto& [name, tensor] : head.tensors) {
    if (!tensor.type->dtype || tensor.shape.size() > 4 || tensor.begin == tensor.end) continue;
    TensorView view;
    view.dtype = *tensor.type->dtype;
    view.n_dims = static_cast<int>(tensor.shape.size());
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      view.shape[i] = tensor.shape[tensor.shape.size() - 1 - i];
    }
    view.data = bytes.subspan(tensor.begin, tensor.end - tensor.begin);
    TATARA_RETURN_IF_ERROR(store.Add(name, view));
  }
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<TensorStore>> OpenSafetensors(MappedFile file) {
  TATARA_TRY(const SafetensorsHead head, ReadSafetensorsHead(file.bytes(), file.path().string()));
  Metadata metadata(file.path().string());
  metadata.Set(std::string(kContainerKey), "safetensors");
  for (const auto& [key, value] : head.metadata) metadata.Set("safetensors." + key, value);
  auto store = std::make_unique<HeldStore>(file.path(), std::move(metadata));
  TATARA_RETURN_IF_ERROR(AddTensors(head, std::move(file), *store));
  return std::unique_ptr<TensorStore>(std::move(store));
}

Result<> AddSafetensors(MappedFile file, HeldStore& store) {
  TATARA_TRY(const SafetensorsHead head, ReadSafetensorsHead(file.bytes(), file.path().string()));
  return AddTensors(head, std::move(file), store);
}

}  // namespace tatara::weights
