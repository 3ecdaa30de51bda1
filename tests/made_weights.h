// A safetensors file of f32 tensors whose values come from a seed: for Hugging Face folders of
// models that are made up.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace tatara::test {

class MadeWeights {
 public:
  // A vector where the name is a norm's or a bias', else a matrix. The order of the calls decides
  // the values.
  void Add(const std::string& name, int n_rows, int n_cols, float middle = 0) {
    const float size = n_rows == 1 ? 0.2F : 1.7F / std::sqrt(static_cast<float>(n_cols));
    const std::size_t start = data_.size();
    for (int i = 0; i < n_rows * n_cols; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      const float unit =
          static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) / 2147483648.0F;
      const float value = middle + size * unit;
      data_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    const bool is_vector = name.ends_with("bias") || name.find("norm") != std::string::npos ||
                           name.find("LayerNorm") != std::string::npos;
    header_[name] = {{"dtype", "F32"},
                     {"shape", is_vector ? nlohmann::json{n_cols} : nlohmann::json{n_rows, n_cols}},
                     {"data_offsets", {start, data_.size()}}};
  }
  void Write(const std::filesystem::path& path) const {
    const std::string header = header_.dump();
    const std::uint64_t n_bytes = header.size();
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&n_bytes), sizeof n_bytes);
    out << header << data_;
  }

 private:
  std::uint64_t state_ = 42;
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
};

}  // namespace tatara::test
