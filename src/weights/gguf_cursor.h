// Reads little-endian fields one after another and can not leave its bytes. Every error names the
// file, the field as a path ("metadata[12].value.length"), and the byte where it starts. Thread
// safety: one object, one thread. Ownership: borrows the bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tatara/base/bytes.h"
#include "tatara/base/error.h"

namespace tatara::weights {

class GgufCursor {
 public:
  GgufCursor(ByteSpan bytes, std::string_view origin) : bytes_(bytes), origin_(origin) {}

  // What the next fields belong to: group "tensor", index 3 gives "tensor[3].".
  void Enter(std::string_view group, std::uint64_t index) {
    group_ = group;
    index_ = index;
  }

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return bytes_.size() - position_; }
  std::string_view origin() const { return origin_; }
  std::string FieldPath(std::string_view field) const;

  template <typename T>
  Result<T> Read(std::string_view field) {
    if (left() < sizeof(T)) return Truncated(field, sizeof(T));
    T value = LoadLe<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }

  // A 64-bit length and as many bytes; refused above `bytes_max`. Borrows from the file.
  Result<std::string_view> ReadString(std::string_view field, std::uint64_t bytes_max);

  // The next `n` bytes, which belong to `field`.
  Result<ByteSpan> ReadBytes(std::string_view field, std::uint64_t n);

 private:
  Error Truncated(std::string_view field, std::uint64_t needed) const;

  ByteSpan bytes_;
  std::string_view origin_;
  std::string_view group_;
  std::uint64_t index_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace tatara::weights
