#include "held_store.h"

namespace tatara::weights {

Result<std::unique_ptr<TensorStore>> OpenHuggingFaceFolder(const std::filesystem::path& folder) {
  TATARA_TRY(MappedFile file, MappedFile::Open(folder));
  return OpenGguf(std::move(file));
}

}  // namespace tatara::weights
