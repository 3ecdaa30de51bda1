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

std::shared_ptr<MemoryStore> Phi3Model() {
  auto store = Store("phi3", {{"attention.head_count_kv", std::uint64_t{kKvHeads}},
                              {"attention.layer_norm_rms_epsilon", 1e-5},
                              {"attention.sliding_window", std::uint64_t{kWindow}}});
  store->Add("token_embd.weight", kVocab, kEmbd);
  store->Add("output_norm.weight", 1, kEmbd, 1);
  store->Add("output.weight", kVocab, kEmbd);
  for (int i = 0; i < kLayers; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    store->Add(b + "attn_norm.weight", 1, kEmbd, 1);
    store->Add(b + "attn_qkv.weight", (kHeads + 2 * kKvHeads) * kHeadDim, kEmbd);
    store->Add(b + "attn_output.weight", kEmbd, kHeads * kHeadDim);
    store->Add(b + "ffn_norm.weight", 1, kEmbd, 1);
    store->Add(b + "ffn_up.weight", 2 * kFf, kEmbd);
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

// A gated delta net, then gated attention; and a trailing layer that predicts further tokens, which
// changes nothing.
std::shared_ptr<MemoryStore> Qwen35MoeModel() {
  constexpr std::int64_t kKeyHeads = 2, kValueHeads = 4, kState = 8, kTaps = 4;
  constexpr std::int64_t kExperts = 4, kExpertFf = 24, kSharedFf = 16;
  constexpr std::int64_t kChannels = (2 * kKeyHeads + kValueHeads) * kState;
  const auto count = [](std::int64_t n) { return static_cast<std::uint64_t>(n); };
  auto store =
      Store("qwen35moe", {{"attention.head_count_kv", count(kKvHeads)},
                          {"attention.key_length", count(kHeadDim)},
                          {"attention.value_length", count(kHeadDim)},
                          {"attention.layer_norm_rms_epsilon", 1e-5},
                          {"rope.dimension_count", count(4)},
                          {"rope.dimension_sections", std::vector<std::int64_t>{1, 1, 0, 0}},
                          {"expert_count", count(kExperts)},
                          {"expert_used_count", count(2)},
                          {"expert_feed_forward_length", count(kExpertFf)},
                          {"expert_shared_feed_forward_length", count(kSharedFf)},
                          {"ssm.conv_kernel", count(kTaps)},
                          {"ssm.state_size", count(kState)},
                          {"ssm.group_count", count(kKeyHeads)},
                          {"ssm.time_step_rank", count(kValueHeads)},
                          {"ssm.inner_size", count(kValueHeads * kState)},
                          {"full_attention_interval", count(2)},
                          {"nextn_predict_layers", count(1)}});
  store->keys().Set("qwen35moe.block_count", count(kLayers + 1));
  store->Add("token_embd.weight", kVocab, kEmbd);
  store->Add("output_norm.weight", 1, kEmbd, 1);
  for (int i = 0; i < kLayers; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    store->Add(b + "attn_norm.weight", 1, kEmbd, 1);
    if (i == 0) {
      store->Add(b + "attn_qkv.weight", kChannels, kEmbd);
      store->Add(b + "attn_gate.weight", kValueHeads * kState, kEmbd);
      store->Add(b + "ssm_conv1d.weight", kChannels, kTaps);
      store->Add(b + "ssm_dt.bias", 1, kValueHeads);
      store->Add(b + "ssm_a", 1, kValueHeads, -0.5F);
      store->Add(b + "ssm_alpha.weight", kValueHeads, kEmbd);
      store->Add(b + "ssm_beta.weight", kValueHeads, kEmbd);
      store->Add(b + "ssm_norm.weight", 1, kState, 1);
      store->Add(b + "ssm_out.weight", kEmbd, kValueHeads * kState);
    } else {
      store->Add(b + "attn_q.weight", 2 * kHeads * kHeadDim, kEmbd);
      store->Add(b + "attn_k.weight", kKvHeads * kHeadDim, kEmbd);
      store->Add(b + "attn_v.weight", kKvHeads * kHeadDim, kEmbd);
      store->Add(b + "attn_q_norm.weight", 1, kHeadDim, 1);
      store->Add(b + "attn_k_norm.weight", 1, kHeadDim, 1);
      store->Add(b + "attn_output.weight", kEmbd, kHeads * kHeadDim);
    }
    store->Add(b + "post_attention_norm.weight", 1, kEmbd, 1);
    store->Add(b + "ffn_gate_inp.weight", kExperts, kEmbd);
    store->AddExperts(b + "ffn_gate_exps.weight", kExperts, kExpertFf, kEmbd);
    store->AddExperts(b + "ffn_up_exps.weight", kExperts, kExpertFf, kEmbd);
    store->AddExperts(b + "ffn_down_exps.weight", kExperts, kEmbd, kExpertFf);
    store->Add(b + "ffn_gate_inp_shexp.weight", 1, kEmbd);
    store->Add(b + "ffn_gate_shexp.weight", kSharedFf, kEmbd);
    store->Add(b + "ffn_up_shexp.weight", kSharedFf, kEmbd);
    store->Add(b + "ffn_down_shexp.weight", kEmbd, kSharedFf);
  }
  store->Add("blk.2.nextn.eh_proj.weight", kEmbd, 2 * kEmbd);
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

TEST(ReferenceLogits, Phi3WithItsWindow) {
  ExpectLogits("phi3 with a window", Phi3Model(), kPhi3Logits, kPhi3Scale);
}

TEST(ReferenceLogits, CommandRPlusWithItsHeadNorms) {
  ExpectLogits("command-r-plus", CommandRPlusModel(), kCommandRPlusLogits, kCommandRPlusScale);
}

TEST(ReferenceLogits, Qwen35Moe) {
  ExpectLogits("qwen35moe", Qwen35MoeModel(), kQwen35MoeLogits, kQwen35MoeScale);
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
