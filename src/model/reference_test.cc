// Decoders that the data folder has no vectors for, against logits that
// tools/make_decoder_vectors.py made from the same weights: float64 equations, confirmed by
// llama.cpp.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "model_test_support.h"
#include "test_support.h"

namespace tatara::model {
namespace {

#include "reference_logits.inc"

using numerics::Activations;
using test::MemoryStore;

constexpr int kVocab = 40, kEmbd = 32, kHeads = 4, kKvHeads = 2, kHeadDim = 8, kFf = 48;
constexpr int kLayers = 2, kContext = 64, kWindow = 5, kTokens = 24;

std::shared_ptr<MemoryStore> Store(
    const std::string& architecture,
    const std::vector<std::pair<std::string, Metadata::Value>>& more) {
  auto store = std::make_shared<MemoryStore>();
  store->keys().Set("general.architecture", architecture);
  const auto key = [&](const std::string& name, const Metadata::Value& value) {
    store->keys().Set(architecture + "." + name, value);
  };
  key("context_length", std::uint64_t{kContext});
  key("embedding_length", std::uint64_t{kEmbd});
  key("block_count", std::uint64_t{kLayers});
  key("feed_forward_length", std::uint64_t{kFf});
  key("attention.head_count", std::uint64_t{kHeads});
  for (const auto& [name, value] : more) key(name, value);
  return store;
}

// The order of the tensors is that of the script: it decides their values.
std::shared_ptr<MemoryStore> Gpt2Model() {
  auto store = Store("gpt2", {{"attention.layer_norm_epsilon", 1e-5}});
  store->Add("token_embd.weight", kVocab, kEmbd);
  store->Add("position_embd.weight", kContext, kEmbd);
  store->Add("output_norm.weight", 1, kEmbd, 1);
  store->Add("output_norm.bias", 1, kEmbd);
  for (int i = 0; i < kLayers; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    store->Add(b + "attn_norm.weight", 1, kEmbd, 1);
    store->Add(b + "attn_norm.bias", 1, kEmbd);
    store->Add(b + "attn_qkv.weight", 3 * kEmbd, kEmbd);
    store->Add(b + "attn_qkv.bias", 1, 3 * kEmbd);
    store->Add(b + "attn_output.weight", kEmbd, kEmbd);
    store->Add(b + "attn_output.bias", 1, kEmbd);
    store->Add(b + "ffn_norm.weight", 1, kEmbd, 1);
    store->Add(b + "ffn_norm.bias", 1, kEmbd);
    store->Add(b + "ffn_up.weight", kFf, kEmbd);
    store->Add(b + "ffn_up.bias", 1, kFf);
    store->Add(b + "ffn_down.weight", kEmbd, kFf);
    store->Add(b + "ffn_down.bias", 1, kEmbd);
  }
  return store;
}

std::shared_ptr<MemoryStore> MistralModel() {
  auto store = Store("llama", {{"attention.head_count_kv", std::uint64_t{kKvHeads}},
                               {"attention.layer_norm_rms_epsilon", 1e-5},
                               {"attention.sliding_window", std::uint64_t{kWindow}}});
  store->Add("token_embd.weight", kVocab, kEmbd);
  store->Add("output_norm.weight", 1, kEmbd, 1);
  for (int i = 0; i < kLayers; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    store->Add(b + "attn_norm.weight", 1, kEmbd, 1);
    store->Add(b + "attn_q.weight", kHeads * kHeadDim, kEmbd);
    store->Add(b + "attn_k.weight", kKvHeads * kHeadDim, kEmbd);
    store->Add(b + "attn_v.weight", kKvHeads * kHeadDim, kEmbd);
    store->Add(b + "attn_output.weight", kEmbd, kHeads * kHeadDim);
    store->Add(b + "ffn_norm.weight", 1, kEmbd, 1);
    store->Add(b + "ffn_gate.weight", kFf, kEmbd);
    store->Add(b + "ffn_up.weight", kFf, kEmbd);
    store->Add(b + "ffn_down.weight", kEmbd, kFf);
  }
  return store;
}

// Command R+ in small: 64 layers tell llama.cpp that heads are normed.
std::shared_ptr<MemoryStore> CommandRPlusModel() {
  constexpr int n = 16, d = 8;
  auto store = Store("command-r", {{"attention.layer_norm_epsilon", 1e-5},
                                   {"embedding_length", std::uint64_t{n}},
                                   {"block_count", std::uint64_t{64}},
                                   {"feed_forward_length", std::uint64_t{n}},
                                   {"attention.head_count", std::uint64_t{2}},
                                   {"attention.head_count_kv", std::uint64_t{1}},
                                   {"logit_scale", 0.8}});
  store->Add("token_embd.weight", kVocab, n);
  store->Add("output_norm.weight", 1, n, 1);
  for (int i = 0; i < 64; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    store->Add(b + "attn_norm.weight", 1, n, 1);
    store->Add(b + "attn_q.weight", 2 * d, n);
    store->Add(b + "attn_k.weight", d, n);
    store->Add(b + "attn_v.weight", d, n);
    store->Add(b + "attn_output.weight", n, 2 * d);
    store->Add(b + "attn_q_norm.weight", 2, d);
    store->Add(b + "attn_k_norm.weight", 1, d, 1);
    store->Add(b + "ffn_gate.weight", n, n);
    store->Add(b + "ffn_up.weight", n, n);
    store->Add(b + "ffn_down.weight", n, n);
  }
  return store;
}

// Largest distance at positions 0, 11 and 23, in one batch, token by token and in ragged chunks.
void ExpectLogits(const char* name, const std::shared_ptr<MemoryStore>& store,
                  std::span<const float> expected, double scale) {
  ThreadPool pool(1);
  auto model = Model::Load(store, {.activations = Activations::kF32}, pool);
  ASSERT_TRUE(model.ok()) << model.error().text();
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < kTokens; ++i) tokens.push_back((i * 7 + i * i * 3 + 11) % kVocab);
  double worst_of_all = 0;
  for (const std::size_t chunk : {std::size_t{24}, std::size_t{1}, std::size_t{7}}) {
    auto kv = KvPool::Make((*model)->info().cache, (*model)->cache_type(), 1);
    ASSERT_TRUE(kv.ok());
    test::Sequence sequence(**model, **kv, {0});
    std::vector<float> all;
    for (std::size_t start = 0; start < tokens.size(); start += chunk) {
      const auto end = tokens.begin() + std::min<std::ptrdiff_t>(kTokens, start + chunk);
      const auto part = sequence.Run({tokens.begin() + start, end}, pool);
      all.insert(all.end(), part.begin(), part.end());
    }
    double worst = 0;
    std::size_t row = 0;
    for (const std::size_t position : {0, 11, 23}) {
      for (std::size_t id = 0; id < kVocab; ++id) {
        const double apart =
            std::abs(double{all[position * kVocab + id]} - expected[row * kVocab + id]);
        worst = std::max(worst, apart);
      }
      ++row;
    }
    EXPECT_LE(worst, 1e-4 * scale) << "chunks of " << chunk;
    worst_of_all = std::max(worst_of_all, worst / scale);
  }
  tatara::test::RecordEvidence({(*model)->info().architecture, "tiny vectors", name, worst_of_all});
}

TEST(ReferenceLogits, Gpt2) {
  ExpectLogits("gpt2", Gpt2Model(), kGpt2Logits, kGpt2Scale);
}

TEST(ReferenceLogits, MistralWithItsWindow) {
  ExpectLogits("mistral with a window", MistralModel(), kMistralLogits, kMistralScale);
}

TEST(ReferenceLogits, CommandRPlusWithItsHeadNorms) {
  ExpectLogits("command-r-plus", CommandRPlusModel(), kCommandRPlusLogits, kCommandRPlusScale);
}

// Published GPT-2 files cannot say more positions than their table has.
TEST(ReferenceLogits, Gpt2NeedsARowForEveryPosition) {
  const auto store = Gpt2Model();
  store->keys().Set("gpt2.context_length", std::uint64_t{kContext + 1});
  ThreadPool pool(1);
  const auto model = Model::Load(store, {}, pool);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().text().find("position_embd.weight"), std::string::npos)
      << model.error().text();
}

}  // namespace
}  // namespace tatara::model
