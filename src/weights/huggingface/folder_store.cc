// A Hugging Face folder as a store: config.json says which family it is, whose tables give GGUF's
// names, layout and keys.
#include "held_store.h"
#include "huggingface/config.h"
#include "huggingface/family.h"
#include "huggingface/place_tensors.h"
#include "huggingface/quantised.h"
#include "huggingface/shards.h"
#include "huggingface/sidecars.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

Result<const Family*> FamilyOf(const Config& config) {
  TATARA_TRY(const auto names, config.StringsOrNone("architectures"));
  if (names.empty()) {
    return Refuse("{0}: the key '{1}' is missing", config.origin(), "architectures");
  }
  const Family* family = FindFamily(names.front(), config.TextPart());
  if (family != nullptr) return family;
  const std::string near = NearestFamilyName(names.front());
  if (near.empty()) {
    return Refuse("{0}: the architecture '{1}' is not known here", config.origin(),
                  Printable(names.front()));
  }
  return Refuse("{0}: the architecture '{1}' is not known here; the nearest known one is '{2}'",
                config.origin(), Printable(names.front()), near);
}

// Tensors that follow from the configuration alone.
Result<> AddMade(const std::vector<MadeTensor>& made, HeldStore& store) {
  for (const MadeTensor& tensor : made) {
    const ByteSpan bytes = std::as_bytes(std::span(tensor.values));
    const std::span<std::byte> room = store.Allocate(bytes.size());
    std::ranges::copy(bytes, room.begin());
    const auto n = static_cast<std::int64_t>(tensor.values.size());
    TATARA_RETURN_IF_ERROR(store.Add(tensor.name, {.name = {},
                                                   .dtype = numerics::DType::kF32,
                                                   .n_dims = 1,
                                                   .shape = {n, 1, 1, 1},
                                                   .data = room}));
  }
  return Ok{};
}

}  // namespace

Result<std::unique_ptr<TensorStore>> OpenHuggingFaceFolder(const fs::path& folder) {
  const fs::path config_path = folder / "config.json";
  TATARA_TRY(const Config config, Config::Read(config_path, kConfigBytesMax));
  TATARA_TRY(const Family* family, FamilyOf(config));

  const Config text = config.TextPart();
  auto store = std::make_unique<HeldStore>(folder, Metadata(folder.string()));
  Metadata& metadata = store->mutable_metadata();
  metadata.Set("general.architecture", std::string(family->architecture));
  metadata.Set("general.name", folder.filename().string());
  metadata.Set(std::string(kContainerKey), "safetensors");
  KeyWriter keys(text, family->architecture, metadata);
  TATARA_RETURN_IF_ERROR(family->write_keys(keys));
  TATARA_RETURN_IF_ERROR(ReadTokenizerFiles(folder, text, metadata));
  TATARA_RETURN_IF_ERROR(ReadSentenceFiles(folder, family->architecture, metadata));
  TATARA_RETURN_IF_ERROR(ReadVectorSizes(config, family->architecture, metadata));

  TATARA_TRY(SourceTensors tensors, OpenShards(folder, *store));
  TATARA_TRY(tensors, Dequantised(config, std::move(tensors), *store));
  PlaceOptions options{.sizes = keys.sizes};
  TATARA_TRY(const bool tied, config.BoolOr("tie_word_embeddings", false));
  TATARA_TRY(options.tied_head, text.BoolOr("tie_word_embeddings", tied));
  TATARA_RETURN_IF_ERROR(PlaceTensors(*family, std::move(tensors), options, *store));
  TATARA_RETURN_IF_ERROR(AddMade(keys.made, *store));
  return std::unique_ptr<TensorStore>(std::move(store));
}

}  // namespace tatara::weights
