// For tests: safetensors files from a header's text, or from tensors.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace tatara::weights::test {

inline std::string SafetensorsBytes(std::string_view header, std::string_view data = {}) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  bytes += header;
  bytes += data;
  return bytes;
}

// Tensors one after another.
class SafetensorsBuilder {
 public:
  SafetensorsBuilder& Add(const std::string& name, const std::vector<std::int64_t>& shape,
                          const std::vector<float>& values) {
    return AddOf("F32", name, shape, values);
  }
  template <typename T>
  SafetensorsBuilder& AddOf(const std::string& dtype, const std::string& name,
                            const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
    const std::size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    std::string dims;
    for (const std::int64_t dim : shape) {
      dims += (dims.empty() ? "" : ",") + std::to_string(dim);
    }
    header_ += (header_.size() == 1 ? "\"" : ",\"") + name + "\":{\"dtype\":\"" + dtype +
               "\",\"shape\":[" + dims + "],\"data_offsets\":[" + std::to_string(begin) + "," +
               std::to_string(data_.size()) + "]}";
    return *this;
  }
  std::string bytes() const { return SafetensorsBytes(header_ + "}", data_); }

 private:
  std::string header_ = "{";
  std::string data_;
};

}  // namespace tatara::weights::test
