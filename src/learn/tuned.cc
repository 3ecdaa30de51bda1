#include "tatara/learn/tuned.h"

#include "tatara/base/files.h"
#include "tatara/weights/adapter_file.h"
#include "tatara/weights/gguf_file.h"
#include "tatara/weights/peft_export.h"

namespace tatara::learn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapterFiles[] = {"adapter_model.safetensors", "adapter_config.json"};

Error IoError(const fs::path& path, const std::error_code& code) {
  return MakeError(ErrorKind::kIo, "{0}: {1}", path.string(), code.message());
}

}  // namespace

Result<fs::path> WriteAdapterFolder(const Recipe& recipe, const fs::path& out) {
  TATARA_TRY(const auto base, weights::OpenTensorStore(recipe.base.path));
  TATARA_TRY(const weights::AdapterFile adapter, weights::OpenAdapter(out, base->metadata()));
  TATARA_TRY(const weights::PeftFiles files,
             weights::MakePeftFiles(adapter, *base,
                                    {.alpha = recipe.adapter.shape.alpha,
                                     .dropout = recipe.adapter.shape.dropout,
                                     .base = recipe.base.from}));
  const fs::path folder = out / "adapter";
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return IoError(folder, code);
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(folder / kAdapterFiles[0], files.tensors));
  TATARA_RETURN_IF_ERROR(WriteFileAtomically(folder / kAdapterFiles[1], files.config));
  return folder;
}

Result<weights::LocalModel> RegisterTuned(const Recipe& recipe, const fs::path& out) {
  TATARA_TRY(auto store, weights::ModelStore::Open());
  const fs::path folder = out / ".registered";
  std::error_code code;
  fs::remove_all(folder, code);
  fs::create_directories(folder, code);
  if (code) return IoError(folder, code);
  std::vector<std::string> files;
  if (recipe.adapter.kind == AdapterKind::kNone) {
    TATARA_TRY(const auto model, weights::OpenTensorStore(out));
    files = {recipe.name + ".gguf"};
    TATARA_TRY([[maybe_unused]] const auto report,
               weights::ExportGguf(*model, folder / files.front(), {}));
  } else {
    TATARA_TRY(const fs::path adapter, WriteAdapterFolder(recipe, out));
    files.assign(std::begin(kAdapterFiles), std::end(kAdapterFiles));
    for (const std::string& file : files) fs::copy_file(adapter / file, folder / file, code);
    if (!code) fs::copy_file(out / "keys.gguf", folder / "keys.gguf", code);
    if (code) return IoError(folder, code);
    files.emplace_back("keys.gguf");
  }
  auto installed = store.Install(recipe.name, folder, files, out.string());
  fs::remove_all(folder, code);
  return installed;
}

}  // namespace tatara::learn
