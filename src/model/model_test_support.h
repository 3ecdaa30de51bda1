// For this module's tests: a model that lives in memory, random but the same each time, whose keys
// and tensors a test can spoil; and a plain driver that owns pages.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tatara/base/thread_pool.h"
#include "tatara/model/model.h"

namespace tatara::model::test {

class MemoryStore final : public weights::TensorStore {
 public:
  const Metadata& metadata() const override { return metadata_; }
  const std::map<std::string, weights::TensorView, std::less<>>& tensors() const override {
    return tensors_;
  }
  const std::filesystem::path& path() const override { return path_; }

  Metadata& keys() { return metadata_; }
  // Values around 0, about 1 / sqrt(n_cols) in size; around `middle` for vectors.
  void Add(const std::string& name, std::int64_t n_rows, std::int64_t n_cols, float middle = 0) {
    std::vector<float> values(static_cast<std::size_t>(n_rows * n_cols));
    const float size = n_rows == 1 ? 0.2F : 1.7F / std::sqrt(static_cast<float>(n_cols));
    for (float& v : values) v = middle + size * Next();
    Set(name, n_rows, n_cols, std::move(values));
  }
  // One tensor of n_experts such matrices.
  void AddExperts(const std::string& name, std::int64_t n_experts, std::int64_t n_rows,
                  std::int64_t n_cols) {
    Add(name, n_experts * n_rows, n_cols);
    Shape(name, n_experts, n_rows, n_cols);
  }
  void SetExperts(const std::string& name, std::int64_t n_experts, std::int64_t n_rows,
                  std::int64_t n_cols, std::vector<float> values) {
    Set(name, n_experts * n_rows, n_cols, std::move(values));
    Shape(name, n_experts, n_rows, n_cols);
  }
  void Set(const std::string& name, std::int64_t n_rows, std::int64_t n_cols,
           std::vector<float> values) {
    auto& kept = values_[name] = std::move(values);
    auto [it, added] = tensors_.try_emplace(name);
    it->second = {.name = it->first,
                  .dtype = numerics::DType::kF32,
                  .n_dims = n_rows == 1 ? 1 : 2,
                  .shape = {n_cols, n_rows, 1, 1},
                  .data = std::as_bytes(std::span(kept))};
  }
  void Remove(const std::string& name) { tensors_.erase(name); }
  // Every matrix becomes Q8_0: absmax / 127 a block, nearest whole numbers.
  void Quantise() {
    for (auto& [name, view] : tensors_) {
      if (view.n_dims != 2 || view.n_cols() % 32 != 0) continue;
      const std::vector<float>& values = values_.at(name);
      std::vector<std::byte>& bytes = quantised_[name];
      bytes.resize(values.size() / 32 * 34);
      for (std::size_t block = 0; block < values.size() / 32; ++block) {
        const float* x = values.data() + 32 * block;
        float largest = 0;
        for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
        const std::uint16_t d = numerics::F32ToF16(largest / 127);
        std::memcpy(bytes.data() + 34 * block, &d, 2);
        for (int i = 0; i < 32; ++i) {
          bytes[34 * block + 2 + static_cast<std::size_t>(i)] =
              static_cast<std::byte>(static_cast<std::int8_t>(std::lround(x[i] / (largest / 127))));
        }
      }
      view.dtype = numerics::DType::kQ8_0;
      view.data = bytes;
    }
  }

 private:
  void Shape(const std::string& name, std::int64_t n_experts, std::int64_t n_rows,
             std::int64_t n_cols) {
    weights::TensorView& view = tensors_.at(name);
    view.n_dims = n_experts > 1 ? 3 : 2;
    view.shape = {n_cols, n_rows, n_experts, 1};
  }
  float Next() {  // in [-1, 1)
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(static_cast<std::int32_t>(state_ >> 32)) / 2147483648.0F;
  }
  std::uint64_t state_ = 42;
  Metadata metadata_{"memory.gguf"};
  std::filesystem::path path_{"memory.gguf"};
  std::map<std::string, weights::TensorView, std::less<>> tensors_;
  std::map<std::string, std::vector<float>> values_;
  std::map<std::string, std::vector<std::byte>> quantised_;
};

struct TinySizes {
  int n_layers = 2, n_embd = 32, n_heads = 4, n_kv_heads = 2, head_dim = 8, n_ff = 48, n_vocab = 40;
};

// A whole model of `architecture` (llama, qwen2, gemma3 or qwen3moe, with six experts of which two
// work on a row) with f32 weights.
inline std::shared_ptr<MemoryStore> TinyModel(const std::string& architecture,
                                              const TinySizes& s = {}) {
  auto store = std::make_shared<MemoryStore>();
  const auto key = [&](const char* name, Metadata::Value value) {
    store->keys().Set(architecture + "." + name, std::move(value));
  };
  store->keys().Set("general.architecture", architecture);
  key("block_count", std::uint64_t(s.n_layers));
  key("embedding_length", std::uint64_t(s.n_embd));
  key("feed_forward_length", std::uint64_t(s.n_ff));
  key("attention.head_count", std::uint64_t(s.n_heads));
  key("attention.head_count_kv", std::uint64_t(s.n_kv_heads));
  key("attention.key_length", std::uint64_t(s.head_dim));
  key("attention.value_length", std::uint64_t(s.head_dim));
  key("attention.layer_norm_rms_epsilon", 1e-5);
  key("context_length", std::uint64_t(256));
  store->Add("token_embd.weight", s.n_vocab, s.n_embd);
  store->Add("output_norm.weight", 1, s.n_embd, 1);
  const bool gemma = architecture == "gemma3";
  if (gemma) key("attention.sliding_window", std::uint64_t(16));
  const bool mixture = architecture == "qwen3moe";
  constexpr int kExperts = 6;
  if (mixture) {
    key("expert_count", std::uint64_t(kExperts));
    key("expert_used_count", std::uint64_t(2));
    key("expert_feed_forward_length", std::uint64_t(s.n_ff));
  }
  for (int i = 0; i < s.n_layers; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    store->Add(block + "attn_norm.weight", 1, s.n_embd, 1);
    store->Add(block + "attn_q.weight", s.n_heads * s.head_dim, s.n_embd);
    store->Add(block + "attn_k.weight", s.n_kv_heads * s.head_dim, s.n_embd);
    store->Add(block + "attn_v.weight", s.n_kv_heads * s.head_dim, s.n_embd);
    store->Add(block + "attn_output.weight", s.n_embd, s.n_heads * s.head_dim);
    store->Add(block + "ffn_norm.weight", 1, s.n_embd, 1);
    if (mixture) {
      store->Add(block + "ffn_gate_inp.weight", kExperts, s.n_embd);
      store->AddExperts(block + "ffn_gate_exps.weight", kExperts, s.n_ff, s.n_embd);
      store->AddExperts(block + "ffn_up_exps.weight", kExperts, s.n_ff, s.n_embd);
      store->AddExperts(block + "ffn_down_exps.weight", kExperts, s.n_embd, s.n_ff);
    } else {
      store->Add(block + "ffn_gate.weight", s.n_ff, s.n_embd);
      store->Add(block + "ffn_up.weight", s.n_ff, s.n_embd);
      store->Add(block + "ffn_down.weight", s.n_embd, s.n_ff);
    }
    if (gemma || mixture) {
      for (const char* norm : {"attn_q_norm", "attn_k_norm"}) {
        store->Add(block + norm + ".weight", 1, s.head_dim, 1);
      }
    }
    if (gemma) {
      for (const char* norm : {"post_attention_norm", "post_ffw_norm"}) {
        store->Add(block + norm + ".weight", 1, s.n_embd, 1);
      }
    }
  }
  return store;
}

// Pages of one sequence and a model to run it through.
class Sequence {
 public:
  Sequence(Model& model, KvPool& kv, std::vector<int> pages)
      : model_(model), kv_(kv), pages_(std::move(pages)) {}

  // A slice of the next tokens with logits of all of them; keeps what it points to until the next
  // call.
  SequenceSlice Next(std::vector<std::int32_t> tokens) {
    tokens_ = std::move(tokens);
    rows_.resize(tokens_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i] = static_cast<std::int32_t>(i);
    const SequenceSlice slice{tokens_, position_, pages_, rows_};
    position_ += static_cast<std::int64_t>(tokens_.size());
    return slice;
  }
  std::vector<float> Run(std::vector<std::int32_t> tokens, ThreadPool& pool) {
    const SequenceSlice slice = Next(std::move(tokens));
    std::vector<float> logits(tokens_.size() * static_cast<std::size_t>(model_.info().n_vocab));
    model_.Forward({&slice, 1}, kv_, pool, logits);
    return logits;
  }

 private:
  Model& model_;
  KvPool& kv_;
  std::vector<int> pages_;
  std::int64_t position_ = 0;
  std::vector<std::int32_t> tokens_, rows_;
};

inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace tatara::model::test
