#include "safetensors_reader.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "safetensors_header.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

using numerics::DType;

constexpr SafetensorsType kTypes[] = {
    {"F64", 64, DType::kF64},
    {"F32", 32, DType::kF32},
    {"F16", 16, DType::kF16},
    {"BF16", 16, DType::kBF16},
    {"F8_E4M3", 8, DType::kF8_E4M3},
    {"F8_E5M2", 8, DType::kF8_E5M2},
    {"I64", 64, DType::kI64},
    {"I32", 32, DType::kI32},
    {"I16", 16, DType::kI16},
    {"I8", 8, DType::kI8},
    {"U64", 64, {}},
    {"U32", 32, {}},
    {"U16", 16, {}},
    {"U8", 8, {}},
    {"BOOL", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F4", 4, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"C64", 64, {}},
};

const SafetensorsType* FindType(std::string_view name) {
  const auto* at = std::ranges::find(kTypes, name, &SafetensorsType::name);
  return at == std::end(kTypes) ? nullptr : at;
}

// Bytes of the tensor's values; refused where they can not be counted.
Result<std::uint64_t> BytesOf(const SafetensorsTensor& tensor, std::string_view name,
                              std::string_view origin) {
  std::uint64_t bits = tensor.type->bits;
  bool overflow = false;
  for (const std::int64_t dim : tensor.shape) {
    overflow |= __builtin_mul_overflow(bits, static_cast<std::uint64_t>(dim), &bits);
  }
  if (overflow || bits % 8 != 0) {
    return Refuse("{0}: tensor '{1}': its shape gives no number of bytes that can be counted",
                  origin, Printable(name));
  }
  return bits / 8;
}

Result<SafetensorsTensor> Checked(const SafetensorsEntry& entry, std::uint64_t data_start,
                                  std::uint64_t data_bytes, std::string_view origin) {
  SafetensorsTensor tensor;
  tensor.type = FindType(entry.dtype);
  if (tensor.type == nullptr) {
    return Refuse("{0}: tensor '{1}' has the unknown type '{2}'", origin, Printable(entry.name),
                  Printable(entry.dtype));
  }
  tensor.shape = entry.shape;
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return Refuse(
        "{0}: tensor '{1}' goes from {2} to {3} of the data, which has {4} bytes; the file is cut "
        "off or damaged",
        origin, Printable(entry.name), entry.begin, entry.end, data_bytes);
  }
  TATARA_TRY(const auto bytes, BytesOf(tensor, entry.name, origin));
  if (bytes != entry.end - entry.begin) {
    return Refuse("{0}: tensor '{1}' has {2} bytes, expected {3} from its type and shape", origin,
                  Printable(entry.name), entry.end - entry.begin, bytes);
  }
  tensor.begin = data_start + entry.begin;
  tensor.end = data_start + entry.end;
  return tensor;
}

// Every byte of the data belongs to exactly one tensor.
Result<> CheckCovered(const SafetensorsHead& head, std::uint64_t data_start,
                      std::uint64_t file_bytes, std::string_view origin) {
  struct Range {
    std::uint64_t begin, end;
    std::string_view name;
  };
  std::vector<Range> ranges;
  for (const auto& [name, tensor] : head.tensors)
    ranges.push_back({tensor.begin, tensor.end, name});
  std::ranges::sort(ranges, [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t end = data_start;
  for (const Range& range : ranges) {
    if (range.begin != end) {
      return Refuse(
          "{0}: tensor '{1}' begins at byte {2}, expected {3}: tensors overlap or leave "
          "a hole",
          origin, Printable(range.name), range.begin, end);
    }
    end = range.end;
  }
  if (end != file_bytes) {
    return Refuse("{0}: {1} bytes after the last tensor, expected none", origin, file_bytes - end);
  }
  return Ok{};
}

}  // namespace

std::int64_t SafetensorsTensor::n_elements() const {
  std::int64_t n = 1;
  for (const std::int64_t dim : shape) n *= dim;  // fits: its bytes were counted
  return n;
}

bool LooksLikeSafetensors(ByteSpan file) {
  if (file.size() < 10) return false;
  const auto length = LoadLe<std::uint64_t>(file.data());
  return length >= 2 && length <= kSafetensorsHeaderBytesMax && file[8] == std::byte{'{'};
}

Result<SafetensorsHead> ReadSafetensorsHead(ByteSpan file, std::string_view origin) {
  if (file.size() < 8) {
    return Refuse("{0}: {1} bytes are too few for a safetensors file", origin, file.size());
  }
  const auto length = LoadLe<std::uint64_t>(file.data());
  if (length > kSafetensorsHeaderBytesMax || length > file.size() - 8) {
    return Refuse(
        "{0}: the header says it has {1} bytes; the file has {2} left and the limit is {3}", origin,
        length, file.size() - 8, kSafetensorsHeaderBytesMax);
  }
  SafetensorsHead head;
  TATARA_TRY(const std::vector<SafetensorsEntry> entries,
             ParseSafetensorsHeader(AsText(file.subspan(8, length)), origin, head.metadata));
  const std::uint64_t data_start = 8 + length;
  for (const SafetensorsEntry& entry : entries) {
    TATARA_TRY(SafetensorsTensor tensor,
               Checked(entry, data_start, file.size() - data_start, origin));
    if (!head.tensors.try_emplace(entry.name, std::move(tensor)).second) {
      return Refuse("{0}: the tensor '{1}' is there twice", origin, Printable(entry.name));
    }
  }
  TATARA_RETURN_IF_ERROR(CheckCovered(head, data_start, file.size(), origin));
  return head;
}

}  // namespace tatara::weights
