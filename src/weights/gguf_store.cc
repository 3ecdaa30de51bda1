// GGUF files as a store, in one file or in parts. Source of the parts: llama.cpp's gguf-split; a
// part is a GGUF file of its own with some of the tensors, named NAME-00001-of-00003.gguf, with the
// keys split.no (from 0), split.count and split.tensors.count; the first has the model's metadata.
#include <algorithm>
#include <cctype>

#include "gguf_reader.h"
#include "held_store.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

namespace fs = std::filesystem;

// The largest published models have some dozens.
constexpr std::int64_t kPartsMax = 1024;

Result<> AddTensors(HeldStore& store, ByteSpan bytes, std::vector<GgufTensor> tensors) {
  for (GgufTensor& tensor : tensors) {
    if (!tensor.type->dtype) {
      return Refuse("{0}: tensor '{1}' has the type {2}, which this version does not compute with",
                    store.path().string(), Printable(tensor.name), tensor.type->name);
    }
    TATARA_RETURN_IF_ERROR(
        store.Add(std::move(tensor.name), {.name = {},
                                           .dtype = *tensor.type->dtype,
                                           .n_dims = tensor.n_dims,
                                           .shape = tensor.shape,
                                           .data = bytes.subspan(tensor.offset, tensor.n_bytes)}));
  }
  return Ok{};
}

// "…-00002-of-00003.gguf" without its ending "00002-of-00003.gguf".
constexpr std::size_t kEndingBytes = 19;
Result<std::string> StemOfParts(const fs::path& path, std::int64_t number, std::int64_t count) {
  const std::string name = path.filename().string();
  const std::string ending = fmt::format("{:05}-of-{:05}.gguf", number + 1, count);
  if (!name.ends_with("-" + ending)) {
    return Refuse(
        "{0}: part {1} of {2} of a model, whose name must end in '-{3}' so that the others are "
        "found",
        path.string(), number + 1, count, ending);
  }
  return name.substr(0, name.size() - kEndingBytes);
}

struct Split {
  std::int64_t number = 0, count = 1, n_tensors = 0;
};

Result<Split> SplitOf(const Metadata& metadata) {
  Split split;
  TATARA_TRY(split.count, metadata.IntOr("split.count", 1));
  if (split.count <= 1) return Split{};
  TATARA_TRY(split.number, metadata.Int("split.no"));
  TATARA_TRY(split.n_tensors, metadata.Int("split.tensors.count"));
  if (split.count > kPartsMax || split.number < 0 || split.number >= split.count) {
    return Refuse("{0}: split.no is {1} of {2} parts; up to {3} parts are read", metadata.origin(),
                  split.number, split.count, kPartsMax);
  }
  return split;
}

Result<> AddPart(HeldStore& store, const fs::path& path, const Split& expected) {
  TATARA_TRY(MappedFile file, MappedFile::Open(path));
  TATARA_TRY(GgufHead head, ReadGgufHead(file.bytes(), path.string()));
  TATARA_TRY(const Split split, SplitOf(head.metadata));
  if (split.number != expected.number || split.count != expected.count ||
      split.n_tensors != expected.n_tensors) {
    return Refuse(
        "{0}: says it is part {1} of {2} of a model with {3} tensors, expected part {4} of {5} "
        "with {6}",
        path.string(), split.number + 1, split.count, split.n_tensors, expected.number + 1,
        expected.count, expected.n_tensors);
  }
  // The first part has the model's keys; another's must not say something else.
  for (const auto& [key, value] : head.metadata.values()) {
    const auto& known = store.metadata().values();
    const auto at = known.find(key);
    if (!key.starts_with("split.") && !key.starts_with("general.alignment") && at != known.end() &&
        at->second != value) {
      return Refuse("{0}: the key '{1}' is another than in the first part", path.string(),
                    Printable(key));
    }
  }
  return AddTensors(store, store.Keep(std::move(file)), std::move(head.tensors));
}

Result<std::unique_ptr<TensorStore>> OpenParts(const fs::path& path, Split split) {
  TATARA_TRY(const std::string stem, StemOfParts(path, split.number, split.count));
  const auto path_of = [&](std::int64_t number) {
    return path.parent_path() / fmt::format("{}{:05}-of-{:05}.gguf", stem, number + 1, split.count);
  };
  TATARA_TRY(MappedFile first, MappedFile::Open(path_of(0)));
  TATARA_TRY(GgufHead head, ReadGgufHead(first.bytes(), path_of(0).string()));
  head.metadata.Set(std::string(kContainerKey), "gguf");
  auto store = std::make_unique<HeldStore>(path, std::move(head.metadata));
  for (split.number = 0; split.number < split.count; ++split.number) {
    TATARA_RETURN_IF_ERROR(AddPart(*store, path_of(split.number), split));
  }
  if (static_cast<std::int64_t>(store->tensors().size()) != split.n_tensors) {
    return Refuse("{0}: its {1} parts have {2} tensors, expected {3}", path.string(), split.count,
                  store->tensors().size(), split.n_tensors);
  }
  return std::unique_ptr<TensorStore>(std::move(store));
}

}  // namespace

Result<std::unique_ptr<TensorStore>> OpenGguf(MappedFile file) {
  TATARA_TRY(GgufHead head, ReadGgufHead(file.bytes(), file.path().string()));
  TATARA_TRY(const Split split, SplitOf(head.metadata));
  if (split.count > 1) return OpenParts(file.path(), split);
  head.metadata.Set(std::string(kContainerKey), "gguf");
  auto store = std::make_unique<HeldStore>(file.path(), std::move(head.metadata));
  const ByteSpan bytes = store->Keep(std::move(file));
  TATARA_RETURN_IF_ERROR(AddTensors(*store, bytes, std::move(head.tensors)));
  return std::unique_ptr<TensorStore>(std::move(store));
}

}  // namespace tatara::weights
