// For tests: writes GGUF files field by field and remembers where each field lies, so that a
// mutation can be named instead of counted.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tatara/base/check.h"

namespace tatara::weights::test {

class GgufBuilder {
 public:
  explicit GgufBuilder(std::uint32_t version = 3) {
    bytes_ = "GGUF";
    Mark("version").Put(version);
  }

  // The next field written is called `name`.
  GgufBuilder& Mark(const std::string& name) {
    marks_[name] = bytes_.size();
    return *this;
  }
  template <typename T>
  GgufBuilder& Put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBuilder& PutString(std::string_view text) {
    Put<std::uint64_t>(text.size());
    bytes_ += text;
    return *this;
  }
  GgufBuilder& Counts(std::uint64_t n_tensors, std::uint64_t n_keys) {
    Mark("n_tensors").Put(n_tensors);
    return Mark("n_keys").Put(n_keys);
  }
  // A key and the number of its value's type; the value follows by Put.
  GgufBuilder& Key(const std::string& key, std::uint32_t type) {
    Mark(key + ".key").PutString(key);
    return Mark(key + ".type").Put(type).Mark(key);
  }
  GgufBuilder& Array(std::uint32_t element_type, std::uint64_t count) {
    return Put(element_type).Put(count);
  }
  GgufBuilder& Tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                      std::uint32_t type, std::uint64_t offset) {
    Mark(name + ".name").PutString(name);
    Mark(name + ".n_dims").Put(static_cast<std::uint32_t>(dims.size())).Mark(name + ".dims");
    for (const std::uint64_t dim : dims) Put(dim);
    Mark(name + ".type").Put(type);
    return Mark(name + ".offset").Put(offset);
  }
  // Pads to the alignment and adds the data section.
  GgufBuilder& Data(std::size_t n_bytes, std::size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0');
    Mark("data");
    for (std::size_t i = 0; i < n_bytes; ++i) bytes_ += static_cast<char>(i * 7 + 1);
    return *this;
  }

  const std::string& bytes() const { return bytes_; }
  std::size_t At(const std::string& mark) const {
    const auto at = marks_.find(mark);
    TATARA_CHECK(at != marks_.end());
    return at->second;
  }
  // A copy with the field at `mark` (and `skip` bytes beyond) replaced.
  template <typename T>
  std::string With(const std::string& mark, T value, std::size_t skip = 0) const {
    std::string out = bytes_;
    std::memcpy(out.data() + At(mark) + skip, &value, sizeof value);
    return out;
  }
  std::string CutAt(const std::string& mark, std::size_t extra = 0) const {
    return bytes_.substr(0, At(mark) + extra);
  }

 private:
  std::string bytes_;
  std::map<std::string, std::size_t> marks_;
};

// A small file with a key of every type and tensors of several; 1,152 bytes of data.
inline GgufBuilder SmallGguf(std::uint32_t version = 3) {
  GgufBuilder b(version);
  b.Counts(3, 21);
  b.Key("general.alignment", 4).Put<std::uint32_t>(32);
  b.Key("name", 8).PutString("tiny \xE3\x81\x9F");
  b.Key("u8", 0).Put<std::uint8_t>(200);
  b.Key("i8", 1).Put<std::int8_t>(-3);
  b.Key("u16", 2).Put<std::uint16_t>(60000);
  b.Key("i16", 3).Put<std::int16_t>(-300);
  b.Key("i32", 5).Put<std::int32_t>(-70000);
  b.Key("f32", 6).Put(0.1f);
  b.Key("yes", 7).Put<std::uint8_t>(1);
  b.Key("u64", 10).Put<std::uint64_t>(~std::uint64_t{0});
  b.Key("i64", 11).Put<std::int64_t>(-5);
  b.Key("f64", 12).Put(2.5);
  b.Key("tokens", 9).Array(8, 3).Mark("token0").PutString("a").PutString("\xFF").PutString("");
  b.Key("scores", 9).Array(6, 2).Put(1.0f).Put(-2.0f);
  b.Key("ids", 9).Array(5, 2).Put<std::int32_t>(-1).Put<std::int32_t>(7);
  b.Key("bytes", 9).Array(0, 4).Put<std::uint32_t>(0x04030201);
  b.Key("flags", 9).Array(7, 2).Mark("flag0").Put<std::uint8_t>(0).Put<std::uint8_t>(1);
  b.Key("none", 9).Array(8, 0);
  b.Key("nested", 9).Array(9, 2).Array(4, 1).Put<std::uint32_t>(1).Array(4, 0);
  b.Key("doubles", 9).Array(12, 1).Put(1.5);
  b.Key("big", 9).Array(10, 1).Put<std::uint64_t>(1);
  b.Tensor("w", {32, 8}, 0, 0);          // F32, 1,024 bytes
  b.Tensor("q", {32, 2}, 8, 1024);       // Q8_0, 68 bytes
  b.Tensor("h", {4, 2, 1, 2}, 1, 1120);  // F16, 32 bytes
  return b.Data(1152);
}

}  // namespace tatara::weights::test
