// A small Llama whose matrices are all of one storage type, as a GGUF file made of random blocks.
// Published files of most types are far too big for a test, and the tiny models of the data have
// rows too short for the types with blocks of 256.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../src/weights/gguf_builder.h"
#include "tatara/base/check.h"
#include "tatara/base/philox.h"
#include "tatara/numerics/dtype.h"

namespace tatara::test {

struct StoredType {
  numerics::DType dtype;
  std::uint32_t ggml_number;
};

// Every type of ggml that holds weights; I8 to I64 hold indexes.
inline constexpr std::array kWeightTypes = {
    StoredType{numerics::DType::kF32, 0},      StoredType{numerics::DType::kF16, 1},
    StoredType{numerics::DType::kQ4_0, 2},     StoredType{numerics::DType::kQ4_1, 3},
    StoredType{numerics::DType::kQ5_0, 6},     StoredType{numerics::DType::kQ5_1, 7},
    StoredType{numerics::DType::kQ8_0, 8},     StoredType{numerics::DType::kQ8_1, 9},
    StoredType{numerics::DType::kQ2_K, 10},    StoredType{numerics::DType::kQ3_K, 11},
    StoredType{numerics::DType::kQ4_K, 12},    StoredType{numerics::DType::kQ5_K, 13},
    StoredType{numerics::DType::kQ6_K, 14},    StoredType{numerics::DType::kQ8_K, 15},
    StoredType{numerics::DType::kIQ2_XXS, 16}, StoredType{numerics::DType::kIQ2_XS, 17},
    StoredType{numerics::DType::kIQ3_XXS, 18}, StoredType{numerics::DType::kIQ1_S, 19},
    StoredType{numerics::DType::kIQ4_NL, 20},  StoredType{numerics::DType::kIQ3_S, 21},
    StoredType{numerics::DType::kIQ2_S, 22},   StoredType{numerics::DType::kIQ4_XS, 23},
    StoredType{numerics::DType::kF64, 28},     StoredType{numerics::DType::kIQ1_M, 29},
    StoredType{numerics::DType::kBF16, 30},    StoredType{numerics::DType::kTQ1_0, 34},
    StoredType{numerics::DType::kTQ2_0, 35},   StoredType{numerics::DType::kMXFP4, 39},
    StoredType{numerics::DType::kNVFP4, 40},
};

// Random bytes, by counter.
class RandomBytes {
 public:
  explicit RandomBytes(std::uint32_t stream) : stream_(stream) {}
  std::uint32_t Word() {
    if (n_left_ == 0) {
      words_ = RandomWords(
          {.seed = 4, .purpose = RandomPurpose::kTest, .choice = stream_, .position = next_++});
      n_left_ = words_.size();
    }
    return words_[--n_left_];
  }

 private:
  std::uint32_t stream_;
  std::uint64_t next_ = 0;
  std::size_t n_left_ = 0;
  decltype(RandomWords({})) words_{};
};

// Blocks of a type whose values are of the size that weights have: random bytes, mostly refused
// because their scale is not.
inline std::vector<std::string> LikelyBlocks(numerics::DType dtype, std::size_t count) {
  const numerics::DTypeTraits& traits = numerics::TraitsOf(dtype);
  RandomBytes random(static_cast<std::uint32_t>(dtype));
  std::vector<float> values(static_cast<std::size_t>(traits.block_elements));
  std::vector<std::string> blocks;
  for (int tries = 0; blocks.size() < count; ++tries) {
    TATARA_CHECK(tries < 10'000'000);
    std::string block(static_cast<std::size_t>(traits.block_bytes), '\0');
    for (char& byte : block) byte = static_cast<char>(random.Word());
    numerics::Dequantize(dtype, std::as_bytes(std::span(block)), values);
    float most = 0;
    bool finite = true;
    for (const float v : values) {
      finite = finite && std::isfinite(v);
      most = std::max(most, std::fabs(v));
    }
    if (finite && most > 0.02F && most < 0.4F) blocks.push_back(std::move(block));
  }
  return blocks;
}

// 2 layers of width 256, 4 heads over 2, a vocabulary of 320, no tokenizer.
inline std::string QuantisedLlama(const StoredType& type) {
  struct Tensor {
    std::string name;
    std::uint64_t n_cols, n_rows;  // n_rows 0: a vector in f32
  };
  std::vector<Tensor> tensors = {
      {"token_embd.weight", 256, 320}, {"output_norm.weight", 256, 0}, {"output.weight", 256, 320}};
  for (int i = 0; i < 2; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    for (const Tensor& t : std::initializer_list<Tensor>{{"attn_norm.weight", 256, 0},
                                                         {"attn_q.weight", 256, 256},
                                                         {"attn_k.weight", 256, 128},
                                                         {"attn_v.weight", 256, 128},
                                                         {"attn_output.weight", 256, 256},
                                                         {"ffn_norm.weight", 256, 0},
                                                         {"ffn_gate.weight", 256, 512},
                                                         {"ffn_up.weight", 256, 512},
                                                         {"ffn_down.weight", 512, 256}}) {
      tensors.push_back({b + t.name, t.n_cols, t.n_rows});
    }
  }
  weights::test::GgufBuilder file;
  constexpr std::uint32_t kU32 = 4, kF32 = 6, kString = 8;
  file.Counts(tensors.size(), 8);
  file.Key("general.architecture", kString).PutString("llama");
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, std::uint32_t>>{
           {"block_count", 2},
           {"context_length", 512},
           {"embedding_length", 256},
           {"feed_forward_length", 512},
           {"attention.head_count", 4},
           {"attention.head_count_kv", 2}}) {
    file.Key(std::string("llama.") + key, kU32).Put(value);
  }
  file.Key("llama.attention.layer_norm_rms_epsilon", kF32).Put(1e-5F);

  const std::vector<std::string> blocks = LikelyBlocks(type.dtype, 256);
  const auto block_elements =
      static_cast<std::uint64_t>(numerics::TraitsOf(type.dtype).block_elements);
  RandomBytes random(100);
  std::string data;
  for (const Tensor& t : tensors) {
    data.resize((data.size() + 31) / 32 * 32, '\0');
    if (t.n_rows == 0) {
      file.Tensor(t.name, {t.n_cols}, 0, data.size());
      for (std::uint64_t i = 0; i < t.n_cols; ++i) {
        const float norm = 0.5F + static_cast<float>(random.Word() >> 8) * 0x1p-24F;
        data.append(reinterpret_cast<const char*>(&norm), sizeof norm);
      }
      continue;
    }
    file.Tensor(t.name, {t.n_cols, t.n_rows}, type.ggml_number, data.size());
    for (std::uint64_t i = 0; i < t.n_cols * t.n_rows / block_elements; ++i) {
      data += blocks[random.Word() % blocks.size()];
    }
  }
  std::string bytes = file.bytes();
  bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
  return bytes + data;
}

}  // namespace tatara::test
