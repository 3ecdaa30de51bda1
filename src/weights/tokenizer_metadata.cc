#include "tatara/weights/tokenizer_metadata.h"

#include <utility>

#include "tatara/base/files.h"
#include "tatara/weights/tensor_store.h"

namespace tatara::weights {

namespace fs = std::filesystem;

Result<Metadata> ReadTokenizerMetadata(const fs::path& path) {
  constexpr std::size_t kBytesMax = std::size_t{1} << 27;
  std::error_code ignored;
  if (path.extension() != ".json" || fs::is_directory(path, ignored)) {
    TATARA_TRY(const auto store, OpenTensorStore(path));
    return store->metadata();
  }
  Metadata metadata(path.string());
  TATARA_TRY(std::string json, ReadWholeFile(path, kBytesMax));
  metadata.Set("tokenizer.huggingface.json", std::move(json));
  const fs::path config = path.parent_path() / "tokenizer_config.json";
  if (fs::exists(config, ignored)) {
    TATARA_TRY(std::string config_json, ReadWholeFile(config, kBytesMax));
    metadata.Set("tokenizer.huggingface.config", std::move(config_json));
  }
  return metadata;
}

}  // namespace tatara::weights
