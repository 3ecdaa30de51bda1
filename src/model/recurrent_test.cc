// What recurrent layers promise besides what all do (forward_test.cc): states live in pages, so
// that cuts, page sizes, other sequences and pages taken over from another sequence change no bit,
// and a sequence that goes back inside a page is noticed.

#include <gtest/gtest.h>

#include "model_test_support.h"

namespace tatara::model {
namespace {

using numerics::Activations;
using test::SameBits;

constexpr int kVocabulary = 40;

// Eight layers, two of them attention; heads of 24 so that vectors end raggedly.
std::shared_ptr<test::MemoryStore> TinyQwen35() {
  auto store = test::TinyModel("qwen35", {.n_layers = 8, .head_dim = 12});
  const auto key = [&](const char* name, Metadata::Value value) {
    store->keys().Set(std::string("qwen35.") + name, std::move(value));
  };
  constexpr std::int64_t kEmbd = 32, kHeads = 4, kKeyHeads = 2, kState = 24, kTaps = 4;
  key("ssm.conv_kernel", std::uint64_t{kTaps});
  key("ssm.state_size", std::uint64_t{kState});
  key("ssm.group_count", std::uint64_t{kKeyHeads});
  key("ssm.time_step_rank", std::uint64_t{kHeads});
  key("ssm.inner_size", std::uint64_t{kHeads * kState});
  key("rope.dimension_count", std::uint64_t{6});
  for (int i = 0; i < 8; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    store->Remove(block + "ffn_norm.weight");
    store->Add(block + "post_attention_norm.weight", 1, kEmbd, 1);
    if (i % 4 == 3) {
      store->Add(block + "attn_q.weight", 2 * 4 * 12, kEmbd);
      store->Add(block + "attn_q_norm.weight", 1, 12, 1);
      store->Add(block + "attn_k_norm.weight", 1, 12, 1);
      continue;
    }
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
      store->Remove(block + name + ".weight");
    }
    const std::int64_t n_channels = (2 * kKeyHeads + kHeads) * kState;
    store->Add(block + "attn_qkv.weight", n_channels, kEmbd);
    store->Add(block + "attn_gate.weight", kHeads * kState, kEmbd);
    store->Add(block + "ssm_conv1d.weight", n_channels, kTaps);
    store->Add(block + "ssm_dt.bias", 1, kHeads);
    store->Add(block + "ssm_a", 1, kHeads, -0.3F);
    store->Add(block + "ssm_norm.weight", 1, kState, 1);
    store->Add(block + "ssm_out.weight", kEmbd, kHeads * kState);
    store->Add(block + "ssm_alpha.weight", kHeads, kEmbd);
    store->Add(block + "ssm_beta.weight", kHeads, kEmbd);
  }
  return store;
}

std::vector<std::int32_t> SomeTokens(int n, int seed) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 7 + i * i * 3 + seed * 11) % kVocabulary);
  return tokens;
}

struct Loaded {
  explicit Loaded(Activations activations = Activations::kF32, int page_tokens = 64) {
    ThreadPool pool(1);
    auto result = Model::Load(TinyQwen35(), {.activations = activations}, pool);
    EXPECT_TRUE(result.ok()) << result.error().text();
    model = std::move(*result);
    auto cache = KvPool::Make(model->info().cache, model->cache_type(), 32, page_tokens);
    EXPECT_TRUE(cache.ok());
    kv = std::move(*cache);
  }
  // Logits of all of tokens[first ..], whose sequence starts in `pages`, in chunks.
  std::vector<float> Run(std::span<const std::int32_t> tokens, const std::vector<int>& pages,
                         std::size_t chunk, int n_threads = 1, std::size_t first = 0) {
    ThreadPool pool(n_threads);
    std::vector<float> all;
    for (std::size_t start = first; start < tokens.size(); start += chunk) {
      const std::size_t n = std::min(tokens.size() - start, chunk);
      std::vector<std::int32_t> rows;
      for (std::size_t i = 0; i < n; ++i) rows.push_back(static_cast<std::int32_t>(i));
      std::vector<float> logits(n * kVocabulary);
      const SequenceSlice slice{tokens.subspan(start, n), static_cast<std::int64_t>(start), pages,
                                rows};
      model->Forward({&slice, 1}, *kv, pool, logits);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }
  std::unique_ptr<Model> model;
  std::unique_ptr<KvPool> kv;
};

TEST(Recurrent, ChunksThreadsAndPageSizesChangeNoBit) {
  const std::vector<std::int32_t> tokens = SomeTokens(300, 1);
  for (const Activations activations : {Activations::kInt8, Activations::kF32}) {
    Loaded loaded(activations);
    const std::vector<float> whole = loaded.Run(tokens, {3, 1, 0, 2, 4}, 300);
    for (const int page_tokens : {64, 128, 512}) {
      Loaded other(activations, page_tokens);
      const std::vector<std::pair<std::size_t, int>> cuts = {{300, 3}, {1, 1},  {2, 2},  {7, 3},
                                                             {64, 2},  {65, 1}, {129, 3}};
      for (const auto& [chunk, n_threads] : cuts) {
        EXPECT_TRUE(SameBits(whole, other.Run(tokens, {3, 1, 0, 2, 4}, chunk, n_threads)))
            << "pages of " << page_tokens << ", chunks of " << chunk;
      }
    }
  }
}

TEST(Recurrent, AFullPageServesEverySequenceThatBeginsWithItsTokens) {
  for (const int page_tokens : {64, 128}) {
    Loaded loaded(Activations::kInt8, page_tokens);
    const auto n_shared = static_cast<std::size_t>(page_tokens);
    std::vector<std::int32_t> first = SomeTokens(200, 2), second = first;
    for (std::size_t i = n_shared; i < second.size(); ++i) second[i] = (second[i] + 3) % 40;
    const std::vector<float> cold = loaded.Run(second, {10, 11, 12, 13}, 31);
    loaded.Run(first, {0, 1, 2, 3}, 50);
    const std::vector<float> warm = loaded.Run(second, {0, 5, 6, 7}, 17, 2, n_shared);
    EXPECT_TRUE(SameBits(std::span(cold).subspan(n_shared * kVocabulary), warm));
  }
}

TEST(Recurrent, SequencesOfOnePassKeepTheirStatesApart) {
  Loaded loaded;
  ThreadPool pool(2);
  const std::vector<int> lengths = {1, 70, 3, 64, 2, 130};
  std::vector<std::vector<float>> alone;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    alone.push_back(loaded.Run(SomeTokens(lengths[i] + 40, static_cast<int>(i)), {0, 1, 2}, 1000));
  }
  // All start together with their first `lengths` tokens and go on together with forty more.
  std::vector<std::vector<std::int32_t>> tokens, rows;
  std::vector<std::vector<int>> pages;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const int first = static_cast<int>(4 * i);
    tokens.push_back(SomeTokens(lengths[i] + 40, static_cast<int>(i)));
    pages.push_back({first + 2, first, first + 1});
  }
  for (const bool start : {true, false}) {
    std::vector<SequenceSlice> slices;
    rows.clear();
    rows.reserve(lengths.size());
    std::size_t n_rows = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const auto n_first = static_cast<std::size_t>(lengths[i]);
      const std::size_t n = start ? n_first : 40;
      auto& slice_rows = rows.emplace_back();
      for (std::size_t r = 0; r < n; ++r) slice_rows.push_back(static_cast<std::int32_t>(r));
      const std::size_t from = start ? 0 : n_first;
      slices.push_back({std::span(tokens[i]).subspan(from, n), static_cast<std::int64_t>(from),
                        pages[i], slice_rows});
      n_rows += n;
    }
    std::vector<float> together(n_rows * kVocabulary);
    loaded.model->Forward(slices, *loaded.kv, pool, together);
    std::size_t at = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const std::size_t from = start ? 0 : static_cast<std::size_t>(lengths[i]);
      const std::size_t n = rows[i].size() * kVocabulary;
      EXPECT_TRUE(SameBits(std::span(alone[i]).subspan(from * kVocabulary, n),
                           std::span(together).subspan(at, n)))
          << "sequence " << i;
      at += n;
    }
  }
}

TEST(RecurrentDeathTest, GoingBackInsideAPageOrLeavingTokensOutIsNoticed) {
  Loaded loaded;
  const std::vector<std::int32_t> tokens = SomeTokens(90, 3);
  loaded.Run(tokens, {0, 1}, 90);
  EXPECT_DEATH(loaded.Run(tokens, {0, 1}, 90, 1, 70), "state_end");
  EXPECT_DEATH(loaded.Run(SomeTokens(100, 3), {0, 1}, 90, 1, 95), "state_end");
  loaded.Run(tokens, {0, 1}, 90, 1, 64);  // from the start of a page is no going back
}

TEST(Recurrent, WrongKeysAreRefusedByName) {
  const auto refusal = [](const char* key, std::uint64_t value) {
    const auto store = TinyQwen35();
    store->keys().Set(std::string("qwen35.") + key, value);
    ThreadPool pool(1);
    const auto loaded = Model::Load(store, {}, pool);
    return loaded.ok() ? std::string("loaded") : loaded.error().text();
  };
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, std::uint64_t>>{{"ssm.conv_kernel", 1},
                                                          {"ssm.state_size", 0},
                                                          {"ssm.group_count", 3},
                                                          {"ssm.time_step_rank", 100000},
                                                          {"ssm.inner_size", 95},
                                                          {"full_attention_interval", 0},
                                                          {"attention.recurrent_layers", 1},
                                                          {"ssm.unheard_of", 1}}) {
    const std::string text = refusal(key, value);
    EXPECT_NE(text.find("memory.gguf"), std::string::npos) << key << ": " << text;
  }
  for (const char* tensor : {"attn_gate.weight", "ssm_a", "ssm_dt.bias", "ssm_beta.weight"}) {
    const auto store = TinyQwen35();
    store->Remove(std::string("blk.1.") + tensor);
    ThreadPool pool(1);
    const auto loaded = Model::Load(store, {}, pool);
    ASSERT_FALSE(loaded.ok());
    EXPECT_NE(loaded.error().text().find(tensor), std::string::npos) << loaded.error().text();
  }
}

}  // namespace
}  // namespace tatara::model
