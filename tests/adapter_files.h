// Adapters written by tests: GGUF LoRA with random factors of some matrices of a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tatara/model/model.h"

namespace tatara::test {

struct LoraOptions {
  std::string architecture = "llama";
  std::int64_t rank = 4;
  float alpha = 2;
  std::uint64_t seed = 1;
};

// Numbers in [-1/2, 1/2), the same each time.
class LoraNumbers {
 public:
  explicit LoraNumbers(std::uint64_t seed) : state_(seed) {}
  float Next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) / 4294967296.0F;
  }

 private:
  std::uint64_t state_;
};

// A GGUF file (version 3) that changes these matrices.
inline void WriteGgufLora(const std::filesystem::path& path,
                          std::span<const model::LinearPlace> places, const LoraOptions& options) {
  std::string head = "GGUF", data;
  const auto put = [&](auto value) {
    head.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto put_text = [&](const std::string& text) {
    put(static_cast<std::uint64_t>(text.size()));
    head += text;
  };
  const auto put_key = [&](const std::string& key, const std::string& value) {
    put_text(key);
    put(std::uint32_t{8});
    put_text(value);
  };
  put(std::uint32_t{3});
  put(static_cast<std::uint64_t>(2 * places.size()));
  put(std::uint64_t{4});
  put_key("general.type", "adapter");
  put_key("general.architecture", options.architecture);
  put_key("adapter.type", "lora");
  put_text("adapter.lora.alpha");
  put(std::uint32_t{6});
  put(options.alpha);
  LoraNumbers numbers(options.seed);
  const auto put_tensor = [&](const std::string& name, std::int64_t n_rows, std::int64_t n_cols) {
    put_text(name);
    put(std::uint32_t{2});
    put(n_cols);
    put(n_rows);
    put(std::uint32_t{0});
    put(static_cast<std::uint64_t>(data.size()));
    for (std::int64_t i = 0; i < n_rows * n_cols; ++i) {
      const float value = numbers.Next();
      data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    data.resize((data.size() + 31) / 32 * 32);
  };
  for (const model::LinearPlace& place : places) {
    put_tensor(place.tensor + ".lora_a", options.rank, place.n_in);
    put_tensor(place.tensor + ".lora_b", place.view.n_rows(), options.rank);
  }
  head.resize((head.size() + 31) / 32 * 32);
  std::ofstream(path, std::ios::binary) << head << data;
}

}  // namespace tatara::test
