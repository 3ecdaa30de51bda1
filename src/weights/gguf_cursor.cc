#include "gguf_cursor.h"

namespace tatara::weights {

std::string GgufCursor::FieldPath(std::string_view field) const {
  return group_ == "header" ? fmt::format("header.{}", field)
                            : fmt::format("{}[{}].{}", group_, index_, field);
}

Error GgufCursor::Truncated(std::string_view field, std::uint64_t needed) const {
  return Refuse("{0}: the file ends inside {1}: {2} bytes needed at byte {3}, {4} left", origin_,
                FieldPath(field), needed, position_, left());
}

Result<std::string_view> GgufCursor::ReadString(std::string_view field, std::uint64_t bytes_max) {
  const std::uint64_t start = position_;
  TATARA_TRY(const std::uint64_t length, Read<std::uint64_t>(field));
  if (length > bytes_max) {
    return Refuse("{0}: {1} at byte {2} says it is {3} bytes long, the limit is {4}", origin_,
                  FieldPath(field), start, length, bytes_max);
  }
  TATARA_TRY(const ByteSpan bytes, ReadBytes(field, length));
  return AsText(bytes);
}

Result<ByteSpan> GgufCursor::ReadBytes(std::string_view field, std::uint64_t n) {
  if (left() < n) return Truncated(field, n);
  const ByteSpan out = bytes_.subspan(position_, n);
  position_ += n;
  return out;
}

}  // namespace tatara::weights
