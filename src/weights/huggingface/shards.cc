#include "huggingface/shards.h"

#include "huggingface/config.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

// Everything in a file, under the file's names.
Result<SourceTensors> OpenShard(const fs::path& path, HeldStore& store) {
  TATARA_TRY(MappedFile file, MappedFile::Open(path));
  const ByteSpan bytes = store.Keep(std::move(file));
  TATARA_TRY(SafetensorsHead head, ReadSafetensorsHead(bytes, path.string()));
  SourceTensors tensors;
  for (auto& [name, tensor] : head.tensors) {
    tensors[name] = {.type = tensor.type,
                     .shape = tensor.shape,
                     .data = bytes.subspan(tensor.begin, tensor.end - tensor.begin)};
  }
  return tensors;
}

// A name in the folder itself and nothing that leads elsewhere.
bool IsPlainName(const std::string& name) {
  return name.ends_with(".safetensors") && name.size() <= 255 && name.front() != '.' &&
         name.find('/') == std::string::npos && name.find('\\') == std::string::npos &&
         name.find('\0') == std::string::npos && IsValidUtf8(name);
}

Result<SourceTensors> OpenIndexed(const fs::path& folder, const fs::path& index_path,
                                  HeldStore& store) {
  TATARA_TRY(const Config index, Config::Read(index_path, kIndexBytesMax));
  const Config map = index.Object("weight_map");
  std::map<std::string, SourceTensors> files;
  SourceTensors all;
  for (const std::string& name : map.Keys()) {
    TATARA_TRY(const std::string file, map.StringOr(name, ""));
    if (!IsPlainName(file)) {
      return Refuse("{0}: tensor '{1}' lies in '{2}', which is no name of a safetensors file here",
                    index_path.string(), Printable(name), Printable(file));
    }
    auto at = files.find(file);
    if (at == files.end()) {
      if (files.size() == kShardsMax) {
        return Refuse("{0}: more than {1} files", index_path.string(), kShardsMax);
      }
      TATARA_TRY(SourceTensors opened, OpenShard(folder / file, store));
      at = files.try_emplace(file, std::move(opened)).first;
    }
    const auto tensor = at->second.find(name);
    if (tensor == at->second.end()) {
      return Refuse("{0}: the tensor '{1}' is missing", (folder / file).string(), Printable(name));
    }
    all.insert(at->second.extract(tensor));
  }
  for (const auto& [file, left] : files) {
    if (left.empty()) continue;
    return Refuse("{0}: its tensor '{1}' is not in the index", (folder / file).string(),
                  Printable(left.begin()->first));
  }
  return all;
}

}  // namespace

std::int64_t SourceTensor::n_rows() const {
  std::int64_t n = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

Result<SourceTensors> OpenShards(const fs::path& folder, HeldStore& store) {
  std::error_code error;
  const fs::path index = folder / "model.safetensors.index.json";
  if (fs::exists(index, error)) return OpenIndexed(folder, index, store);
  const fs::path single = folder / "model.safetensors";
  if (fs::exists(single, error)) return OpenShard(single, store);
  for (const char* old : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (fs::exists(folder / old, error)) {
      return Refuse(
          "{0}: the weights are a pickle ('{1}'), which can run programs when read; only "
          "safetensors are read",
          folder.string(), old);
    }
  }
  return SourceTensors{};  // a folder with a tokenizer only
}

}  // namespace tatara::weights
