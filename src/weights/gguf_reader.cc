#include "gguf_reader.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <string_view>

#include "gguf_cursor.h"
#include "gguf_metadata.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kAlignmentKey = "general.alignment";

// What people hand over instead of a GGUF file, by its first bytes.
Error RefuseMagic(ByteSpan file, std::string_view origin) {
  const std::string_view head = AsText(file.first(std::min<std::size_t>(file.size(), 16)));
  if (head.starts_with("FUGG")) {
    return Refuse("{0}: a big-endian GGUF file; only little-endian files are read", origin);
  }
  if (head.starts_with("version https://") || head.starts_with("version http://")) {
    return Refuse("{0}: a Git LFS pointer, which stands for the real file; fetch that one", origin);
  }
  for (const std::string_view old : {"tjgg", "fmgg", "lmgg", "algg"}) {
    if (head.starts_with(old)) {
      return Refuse("{0}: a ggml file from before GGUF ('{1}'); convert it to GGUF", origin, old);
    }
  }
  if (head.starts_with("PK\x03\x04")) {
    return Refuse("{0}: a zip archive (a PyTorch checkpoint or a Python wheel), not a GGUF file",
                  origin);
  }
  if (file.empty()) {
    return Refuse("{0}: the file is empty; expected a GGUF, safetensors or E5S1 file", origin);
  }
  return Refuse(
      "{0}: not a model: the file starts with the bytes {1}; expected a GGUF, safetensors or E5S1 "
      "file, or a folder with a config.json",
      origin, ToHex(file.first(std::min<std::size_t>(file.size(), 4))));
}

Result<std::uint32_t> ReadVersion(GgufCursor& cursor) {
  TATARA_TRY(const auto version, cursor.Read<std::uint32_t>("version"));
  if (version == 2 || version == 3) return version;
  if (version != 0 && (version & 0xFFFF) == 0) {
    return Refuse("{0}: a big-endian GGUF file; only little-endian files are read",
                  cursor.origin());
  }
  return Refuse("{0}: GGUF version {1} at byte 4, versions 2 and 3 are read", cursor.origin(),
                version);
}

Result<std::uint64_t> ReadCount(GgufCursor& cursor, std::string_view field, std::uint64_t limit,
                                std::uint64_t bytes_min_each) {
  const std::uint64_t at = cursor.position();
  TATARA_TRY(const auto count, cursor.Read<std::uint64_t>(field));
  if (count > limit) {
    return Refuse("{0}: {1} at byte {2} is {3}, the limit is {4}", cursor.origin(),
                  cursor.FieldPath(field), at, count, limit);
  }
  if (count * bytes_min_each > cursor.left()) {
    return Refuse(
        "{0}: {1} at byte {2} is {3}, which needs {4} bytes or more; the file has {5} left",
        cursor.origin(), cursor.FieldPath(field), at, count, count * bytes_min_each, cursor.left());
  }
  return count;
}

Result<std::uint32_t> AlignmentOf(const Metadata& metadata) {
  TATARA_TRY(const auto alignment, metadata.IntOr(kAlignmentKey, kAlignmentDefault));
  if (alignment < kAlignmentMin || alignment > kAlignmentMax ||
      !std::has_single_bit(static_cast<std::uint64_t>(alignment))) {
    return Refuse("{0}: {1} is {2}, expected a power of two from {3} to {4}", metadata.origin(),
                  kAlignmentKey, alignment, kAlignmentMin, kAlignmentMax);
  }
  return static_cast<std::uint32_t>(alignment);
}

Result<> ReadShape(GgufCursor& cursor, GgufTensor& tensor) {
  const std::uint64_t at = cursor.position();
  TATARA_TRY(const auto n_dims, cursor.Read<std::uint32_t>("n_dims"));
  if (n_dims == 0 || n_dims > kDimsMax) {
    return Refuse("{0}: tensor '{1}' has {2} dimensions (byte {3}), expected 1 to {4}",
                  cursor.origin(), Printable(tensor.name), n_dims, at, kDimsMax);
  }
  tensor.n_dims = static_cast<int>(n_dims);
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    const std::uint64_t dim_at = cursor.position();
    TATARA_TRY(const auto dim, cursor.Read<std::uint64_t>("dims"));
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (dim == 0 || dim > kMax) {
      return Refuse(
          "{0}: tensor '{1}': dimension {2} (byte {3}) is {4}, expected 1 or more and below 2^63",
          cursor.origin(), Printable(tensor.name), i, dim_at, dim);
    }
    tensor.shape[i] = static_cast<std::int64_t>(dim);
  }
  return Ok{};
}

// Bytes of storage. Every product is checked: a file may claim 2^62 x 2^62.
Result<std::uint64_t> StorageOf(const GgufCursor& cursor, const GgufTensor& tensor) {
  const GgmlType& type = *tensor.type;
  const auto row = static_cast<std::uint64_t>(tensor.shape[0]);
  if (row % type.block_elements != 0) {
    return Refuse(
        "{0}: tensor '{1}': rows of {2} are no multiple of the {3} values in a block of {4}",
        cursor.origin(), Printable(tensor.name), row, type.block_elements, type.name);
  }
  std::uint64_t bytes = row / type.block_elements;
  bool overflow = __builtin_mul_overflow(bytes, type.block_bytes, &bytes);
  std::int64_t elements = tensor.shape[0];
  for (int i = 1; i < 4; ++i) {
    const std::int64_t dim = tensor.shape[static_cast<std::size_t>(i)];
    overflow |= __builtin_mul_overflow(elements, dim, &elements);
    overflow |= __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes);
  }
  if (overflow) {
    return Refuse(
        "{0}: tensor '{1}': {2} x {3} x {4} x {5} values of {6} are more than can be counted",
        cursor.origin(), Printable(tensor.name), tensor.shape[0], tensor.shape[1], tensor.shape[2],
        tensor.shape[3], type.name);
  }
  return bytes;
}

Result<const GgmlType*> ReadType(GgufCursor& cursor, const GgufTensor& tensor) {
  const std::uint64_t at = cursor.position();
  TATARA_TRY(const auto number, cursor.Read<std::uint32_t>("type"));
  const GgmlType* type = FindGgmlType(number);
  if (type == nullptr) {
    return Refuse("{0}: tensor '{1}' has the unknown type {2} (byte {3})", cursor.origin(),
                  Printable(tensor.name), number, at);
  }
  if (type->block_elements == 0) {
    return Refuse(
        "{0}: tensor '{1}' has the type {2}, which ggml withdrew; convert the model again",
        cursor.origin(), Printable(tensor.name), type->name);
  }
  return type;
}

Result<GgufTensor> ReadTensorInfo(GgufCursor& cursor) {
  GgufTensor tensor;
  const std::uint64_t at = cursor.position();
  TATARA_TRY(const std::string_view name, cursor.ReadString("name", kTensorNameBytesMax));
  if (name.empty() || !IsValidUtf8(name)) {
    return Refuse("{0}: {1} at byte {2} is empty or not UTF-8: '{3}'", cursor.origin(),
                  cursor.FieldPath("name"), at, Printable(name));
  }
  tensor.name = name;
  TATARA_RETURN_IF_ERROR(ReadShape(cursor, tensor));
  TATARA_TRY(tensor.type, ReadType(cursor, tensor));
  TATARA_TRY(tensor.offset, cursor.Read<std::uint64_t>("offset"));
  TATARA_TRY(tensor.n_bytes, StorageOf(cursor, tensor));
  return tensor;
}

// From offsets in the data section to offsets in the file, each inside it.
Result<> PlaceTensors(GgufHead& head, std::uint64_t data_start, std::uint64_t file_bytes,
                      std::string_view origin) {
  for (GgufTensor& tensor : head.tensors) {
    if (tensor.offset % head.alignment != 0) {
      return Refuse("{0}: tensor '{1}': offset {2} is no multiple of the alignment {3}", origin,
                    Printable(tensor.name), tensor.offset, head.alignment);
    }
    const std::uint64_t room = file_bytes > data_start ? file_bytes - data_start : 0;
    if (tensor.offset > room || tensor.n_bytes > room - tensor.offset) {
      return Refuse(
          "{0}: tensor '{1}': {2} bytes at offset {3} of the data, which has {4} bytes; "
          "the file is cut off or damaged",
          origin, Printable(tensor.name), tensor.n_bytes, tensor.offset, room);
    }
    tensor.offset += data_start;
  }
  return Ok{};
}

Result<> CheckNoOverlap(const GgufHead& head, std::string_view origin) {
  std::vector<const GgufTensor*> by_offset;
  for (const GgufTensor& tensor : head.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor& before = *by_offset[i - 1];
    if (before.offset + before.n_bytes > by_offset[i]->offset) {
      return Refuse("{0}: the tensors '{1}' and '{2}' overlap at byte {3}", origin,
                    Printable(before.name), Printable(by_offset[i]->name), by_offset[i]->offset);
    }
  }
  return Ok{};
}

Result<> ReadTensors(GgufCursor& cursor, std::uint64_t n_tensors, GgufHead& head) {
  std::set<std::string_view> names;
  head.tensors.reserve(n_tensors);  // `names` points into it
  for (std::uint64_t i = 0; i < n_tensors; ++i) {
    cursor.Enter("tensor", i);
    TATARA_TRY(GgufTensor tensor, ReadTensorInfo(cursor));
    head.tensors.push_back(std::move(tensor));
    if (!names.insert(head.tensors.back().name).second) {
      return Refuse("{0}: tensor[{1}]: the name '{2}' is there twice", cursor.origin(), i,
                    Printable(head.tensors.back().name));
    }
  }
  return Ok{};
}

}  // namespace

Result<GgufHead> ReadGgufHead(ByteSpan file, std::string_view origin) {
  if (file.size() < kMagic.size() || AsText(file.first(kMagic.size())) != kMagic) {
    return RefuseMagic(file, origin);
  }
  GgufCursor cursor(file, origin);
  cursor.Enter("header", 0);
  TATARA_RETURN_IF_ERROR(cursor.Read<std::uint32_t>("magic"));

  GgufHead head;
  head.metadata = Metadata(std::string(origin));
  TATARA_TRY(head.version, ReadVersion(cursor));
  constexpr std::uint64_t kTensorInfoBytesMin = 8 + 1 + 4 + 8 + 4 + 8;
  constexpr std::uint64_t kKeyValueBytesMin = 8 + 1 + 4 + 1;
  TATARA_TRY(const auto n_tensors,
             ReadCount(cursor, "tensor_count", kTensorsMax, kTensorInfoBytesMin));
  TATARA_TRY(const auto n_keys,
             ReadCount(cursor, "metadata_kv_count", kMetadataKeysMax, kKeyValueBytesMin));
  TATARA_RETURN_IF_ERROR(ReadGgufMetadata(cursor, n_keys, head.metadata));
  TATARA_TRY(head.alignment, AlignmentOf(head.metadata));
  TATARA_RETURN_IF_ERROR(ReadTensors(cursor, n_tensors, head));

  const std::uint64_t mask = head.alignment - 1;
  const std::uint64_t data_start = (cursor.position() + mask) & ~mask;
  TATARA_RETURN_IF_ERROR(PlaceTensors(head, data_start, file.size(), origin));
  TATARA_RETURN_IF_ERROR(CheckNoOverlap(head, origin));
  return head;
}

}  // namespace tatara::weights
