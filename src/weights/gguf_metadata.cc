#include "gguf_metadata.h"

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gguf_reader.h"
#include "tatara/base/utf8.h"

namespace tatara::weights {
namespace {

// Value types, by their numbers in the specification.
enum ValueType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// The least bytes a value takes in the file; 0 for numbers that are no type.
std::uint64_t BytesMinOf(std::uint32_t type) {
  constexpr std::uint64_t kArrayHead = 12;  // element type and count
  constexpr std::uint64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, kArrayHead, 8, 8, 8};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

// Reads the value of one key. Errors name the key: "metadata[3].value" alone would help nobody.
class ValueReader {
 public:
  ValueReader(GgufCursor& cursor, std::string_view key) : cursor_(cursor), key_(key) {}

  // Nothing for an array of arrays.
  Result<std::optional<Metadata::Value>> Read(std::uint32_t type) {
    switch (type) {
      case kUint8:
        return Integer<std::uint8_t>();
      case kInt8:
        return Integer<std::int8_t>();
      case kUint16:
        return Integer<std::uint16_t>();
      case kInt16:
        return Integer<std::int16_t>();
      case kUint32:
        return Integer<std::uint32_t>();
      case kInt32:
        return Integer<std::int32_t>();
      case kUint64:
        return Integer<std::uint64_t>();
      case kInt64:
        return Integer<std::int64_t>();
      case kFloat32:
        return Float<float>();
      case kFloat64:
        return Float<double>();
      case kBool: {
        TATARA_TRY(const bool value, Bool());
        return Kept(value);
      }
      case kString: {
        TATARA_TRY(const std::string_view text, cursor_.ReadString(Field(), kStringBytesMax));
        return Kept(std::string(text));
      }
      case kArray:
        return Array(1);
      default:
        return UnknownType(type);
    }
  }

 private:
  using Optional = std::optional<Metadata::Value>;
  static Optional Kept(Metadata::Value value) { return Optional(std::move(value)); }
  std::string Field() const { return fmt::format("value (key '{}')", Printable(key_)); }

  Error UnknownType(std::uint32_t type) const {
    return Refuse("{0}: {1}: type {2} at byte {3} is unknown, the types are 0 to 12",
                  cursor_.origin(), cursor_.FieldPath(Field()), type, cursor_.position() - 4);
  }

  template <typename T>
  using Widened = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;

  template <typename T>
  Result<Optional> Integer() {
    TATARA_TRY(const T value, cursor_.Read<T>("value"));
    return Kept(static_cast<Widened<T>>(value));
  }
  template <typename T>
  Result<Optional> Float() {
    TATARA_TRY(const T value, cursor_.Read<T>("value"));
    return Kept(static_cast<double>(value));
  }
  Result<bool> Bool() {
    const std::uint64_t at = cursor_.position();
    TATARA_TRY(const std::uint8_t byte, cursor_.Read<std::uint8_t>("value"));
    if (byte > 1) {
      return Refuse("{0}: {1}: the byte {2} at {3} is neither 0 (false) nor 1 (true)",
                    cursor_.origin(), cursor_.FieldPath(Field()), static_cast<unsigned>(byte), at);
    }
    return byte == 1;
  }

  // Element type and count; the count is bounded by the limit and by what the file can hold.
  Result<std::pair<std::uint32_t, std::uint64_t>> ArrayHead() {
    TATARA_TRY(const auto type, cursor_.Read<std::uint32_t>("value.type"));
    const std::uint64_t bytes_min = BytesMinOf(type);
    if (bytes_min == 0) return UnknownType(type);
    const std::uint64_t at = cursor_.position();
    TATARA_TRY(const auto count, cursor_.Read<std::uint64_t>("value.count"));
    if (count > kArrayElementsMax) {
      return Refuse("{0}: {1}: {2} elements (byte {3}), the limit is {4}", cursor_.origin(),
                    cursor_.FieldPath(Field()), count, at, kArrayElementsMax);
    }
    if (count * bytes_min > cursor_.left()) {
      return Refuse(
          "{0}: {1}: {2} elements (byte {3}) need {4} bytes or more, the file has {5} left",
          cursor_.origin(), cursor_.FieldPath(Field()), count, at, count * bytes_min,
          cursor_.left());
    }
    return std::pair(type, count);
  }

  template <typename T, typename Element>
  Result<Optional> Numbers(std::uint64_t count) {
    TATARA_TRY(const ByteSpan bytes, cursor_.ReadBytes("value", count * sizeof(T)));
    std::vector<Element> out(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<Element>(LoadLe<T>(bytes.data() + i * sizeof(T)));
    }
    return Kept(std::move(out));
  }
  Result<Optional> Bools(std::uint64_t count) {
    std::vector<bool> out(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      TATARA_TRY(const bool value, Bool());
      out[i] = value;
    }
    return Kept(std::move(out));
  }
  Result<Optional> Strings(std::uint64_t count) {
    std::vector<std::string> out;
    out.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      TATARA_TRY(const std::string_view text, cursor_.ReadString("value", kStringBytesMax));
      out.emplace_back(text);
    }
    return Kept(std::move(out));
  }

  Result<Optional> Array(int depth) {
    TATARA_TRY(const auto head, ArrayHead());
    const auto [type, count] = head;
    switch (type) {
      case kUint8:
        return Numbers<std::uint8_t, std::uint64_t>(count);
      case kInt8:
        return Numbers<std::int8_t, std::int64_t>(count);
      case kUint16:
        return Numbers<std::uint16_t, std::uint64_t>(count);
      case kInt16:
        return Numbers<std::int16_t, std::int64_t>(count);
      case kUint32:
        return Numbers<std::uint32_t, std::uint64_t>(count);
      case kInt32:
        return Numbers<std::int32_t, std::int64_t>(count);
      case kUint64:
        return Numbers<std::uint64_t, std::uint64_t>(count);
      case kInt64:
        return Numbers<std::int64_t, std::int64_t>(count);
      case kFloat32:
        return Numbers<float, double>(count);
      case kFloat64:
        return Numbers<double, double>(count);
      case kBool:
        return Bools(count);
      case kString:
        return Strings(count);
      default:
        break;  // kArray: ArrayHead lets no other number through
    }
    if (depth == kArrayDepthMax) {
      return Refuse("{0}: {1}: arrays inside arrays at byte {2} go deeper than {3}",
                    cursor_.origin(), cursor_.FieldPath(Field()), cursor_.position(),
                    kArrayDepthMax);
    }
    for (std::uint64_t i = 0; i < count; ++i) TATARA_RETURN_IF_ERROR(Array(depth + 1));
    return Optional();
  }

  GgufCursor& cursor_;
  std::string_view key_;
};

Result<std::string> ReadKey(GgufCursor& cursor, const Metadata& seen) {
  const std::uint64_t at = cursor.position();
  TATARA_TRY(const std::string_view key, cursor.ReadString("key", kKeyBytesMax));
  if (key.empty() || !IsValidUtf8(key)) {
    return Refuse("{0}: {1} at byte {2} is empty or not UTF-8: '{3}'", cursor.origin(),
                  cursor.FieldPath("key"), at, Printable(key));
  }
  if (seen.Has(key)) {
    return Refuse("{0}: {1} at byte {2}: '{3}' is there twice", cursor.origin(),
                  cursor.FieldPath("key"), at, Printable(key));
  }
  return std::string(key);
}

}  // namespace

Result<> ReadGgufMetadata(GgufCursor& cursor, std::uint64_t n_keys, Metadata& out) {
  const std::uint64_t start = cursor.position();
  for (std::uint64_t i = 0; i < n_keys; ++i) {
    cursor.Enter("metadata", i);
    TATARA_TRY(std::string key, ReadKey(cursor, out));
    TATARA_TRY(const auto type, cursor.Read<std::uint32_t>("type"));
    TATARA_TRY(auto value, ValueReader(cursor, key).Read(type));
    if (cursor.position() - start > kMetadataBytesMax) {
      return Refuse("{0}: the metadata up to key '{1}' has {2} bytes, the limit is {3}",
                    cursor.origin(), Printable(key), cursor.position() - start, kMetadataBytesMax);
    }
    if (value) out.Set(std::move(key), std::move(*value));
  }
  return Ok{};
}

}  // namespace tatara::weights
