// What a forward pass promises whatever the weights are: masks, windows, and that a sequence's
// numbers do not depend on what else is in the pass, how it is cut, or how many threads work.

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <cmath>

#include "model_test_support.h"

namespace tatara::model {
namespace {

using numerics::Activations;
using test::SameBits;
using test::Sequence;
using test::TinyModel;

std::vector<std::int32_t> SomeTokens(int n, int seed) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back((i * 7 + i * i * 3 + seed * 11) % 40);
  return tokens;
}

struct Loaded {
  explicit Loaded(const std::shared_ptr<test::MemoryStore>& store,
                  Activations activations = Activations::kF32, int n_pages = 32) {
    ThreadPool pool(1);
    auto result = Model::Load(store, {.activations = activations}, pool);
    EXPECT_TRUE(result.ok()) << result.error().text();
    model = std::move(*result);
    auto cache = KvPool::Make(model->info().cache, model->cache_type(), n_pages);
    EXPECT_TRUE(cache.ok());
    kv = std::move(*cache);
  }
  // Logits of all positions of one sequence alone, in chunks of `chunk` tokens.
  std::vector<float> Run(const std::vector<std::int32_t>& tokens, std::size_t chunk = 1000,
                         int n_threads = 1) {
    ThreadPool pool(n_threads);
    Sequence sequence(*model, *kv, {3, 1, 0, 2});
    std::vector<float> all;
    for (std::size_t start = 0; start < tokens.size(); start += chunk) {
      const std::size_t end = std::min(tokens.size(), start + chunk);
      const std::vector<float> part =
          sequence.Run({tokens.begin() + static_cast<std::ptrdiff_t>(start),
                        tokens.begin() + static_cast<std::ptrdiff_t>(end)},
                       pool);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }
  std::unique_ptr<Model> model;
  std::unique_ptr<KvPool> kv;
};

std::span<const float> RowOf(const std::vector<float>& logits, int row) {
  return std::span(logits).subspan(static_cast<std::size_t>(row) * 40, 40);
}

TEST(Forward, APositionSeesNothingAfterIt) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    Loaded loaded(TinyModel(architecture));
    std::vector<std::int32_t> tokens = SomeTokens(150, 1);
    const std::vector<float> before = loaded.Run(tokens);
    for (const int changed : {0, 63, 64, 149}) {
      std::vector<std::int32_t> other = tokens;
      other[static_cast<std::size_t>(changed)] =
          (other[static_cast<std::size_t>(changed)] + 1) % 40;
      const std::vector<float> after = loaded.Run(other);
      for (int row = 0; row < changed; ++row) {
        EXPECT_TRUE(SameBits(RowOf(before, row), RowOf(after, row))) << architecture << row;
      }
      EXPECT_FALSE(SameBits(RowOf(before, changed), RowOf(after, changed))) << architecture;
    }
  }
}

// One layer with a window of W: position p sees p - W + 1 .. p and nothing else.
TEST(Forward, AWindowIsExactlyAsWideAsItsKeySays) {
  constexpr int kWindow = 70;
  const auto store = TinyModel("gemma3", {.n_layers = 1});
  store->keys().Set("gemma3.attention.sliding_window", std::uint64_t{kWindow});
  Loaded loaded(store);
  const std::vector<std::int32_t> tokens = SomeTokens(200, 2);
  const std::vector<float> before = loaded.Run(tokens);
  for (const int changed : {0, 5, 63, 64, 100}) {
    std::vector<std::int32_t> other = tokens;
    other[static_cast<std::size_t>(changed)] = (other[static_cast<std::size_t>(changed)] + 1) % 40;
    const std::vector<float> after = loaded.Run(other);
    for (int row = changed; row < 200; ++row) {
      EXPECT_EQ(SameBits(RowOf(before, row), RowOf(after, row)), row - changed >= kWindow)
          << "position " << row << " and key " << changed;
    }
  }
}

// Six layers: the sixth is global, so that any earlier token is seen in the end.
TEST(Forward, TheSixthGemmaLayerSeesEverything) {
  for (const int n_layers : {5, 6}) {
    const auto store = TinyModel("gemma3", {.n_layers = n_layers});
    store->keys().Set("gemma3.attention.sliding_window", std::uint64_t{8});
    Loaded loaded(store);
    std::vector<std::int32_t> tokens = SomeTokens(100, 3);
    const std::vector<float> before = loaded.Run(tokens);
    tokens[0] = (tokens[0] + 1) % 40;
    const std::vector<float> after = loaded.Run(tokens);
    // Five window layers reach back 5 x 7 positions.
    EXPECT_EQ(SameBits(RowOf(before, 36), RowOf(after, 36)), n_layers == 5);
    EXPECT_FALSE(SameBits(RowOf(before, 35), RowOf(after, 35)));
    EXPECT_EQ(SameBits(RowOf(before, 99), RowOf(after, 99)), n_layers == 5);
  }
}

TEST(Forward, ChunksAndThreadsChangeNoBit) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    for (const Activations activations : {Activations::kInt8, Activations::kF32}) {
      Loaded loaded(TinyModel(architecture, {.n_ff = 320}), activations);
      const std::vector<std::int32_t> tokens = SomeTokens(150, 4);
      const std::vector<float> whole = loaded.Run(tokens);
      const std::vector<std::pair<std::size_t, int>> cuts = {{1, 1}, {7, 3}, {64, 2}, {65, 3}};
      for (const auto& [chunk, n_threads] : cuts) {
        EXPECT_TRUE(SameBits(whole, loaded.Run(tokens, chunk, n_threads)))
            << architecture << ", chunks of " << chunk << ", threads " << n_threads;
      }
    }
  }
}

TEST(Forward, ASliceDoesNotDependOnTheOthers) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    Loaded loaded(TinyModel(architecture));
    ThreadPool pool(2);
    std::vector<std::vector<float>> alone;
    const std::vector<int> lengths = {1, 70, 3, 64, 130, 2, 17, 5};
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      alone.push_back(loaded.Run(SomeTokens(lengths[i], static_cast<int>(i))));
    }
    std::vector<Sequence> sequences;
    std::vector<SequenceSlice> slices;
    std::size_t n_rows = 0;
    sequences.reserve(lengths.size());
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const int first = static_cast<int>(4 * i);
      sequences.emplace_back(*loaded.model, *loaded.kv,
                             std::vector<int>{first + 1, first, first + 3, first + 2});
      slices.push_back(sequences.back().Next(SomeTokens(lengths[i], static_cast<int>(i))));
      n_rows += static_cast<std::size_t>(lengths[i]);
    }
    std::vector<float> together(n_rows * 40);
    loaded.model->Forward(slices, *loaded.kv, pool, together);
    std::size_t start = 0;
    for (const std::vector<float>& expected : alone) {
      EXPECT_TRUE(SameBits(expected, std::span(together).subspan(start, expected.size())))
          << architecture;
      start += expected.size();
    }
  }
}

TEST(Forward, GivesOnlyTheLogitsAskedFor) {
  Loaded loaded(TinyModel("qwen2"));
  ThreadPool pool(1);
  const std::vector<std::int32_t> tokens = SomeTokens(90, 5);
  const std::vector<float> all = loaded.Run(tokens);
  const std::vector<int> pages_a = {3, 1}, pages_b = {0, 2};
  const std::vector<std::int32_t> rows = {0, 41, 89}, none;
  const std::vector<SequenceSlice> slices = {{tokens, 0, pages_b, none},
                                             {tokens, 0, pages_a, rows}};
  std::vector<float> some(3 * 40);
  loaded.model->Forward(slices, *loaded.kv, pool, some);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(SameBits(RowOf(some, i), RowOf(all, rows[static_cast<std::size_t>(i)])));
  }
  // A pass that only fills the cache, then the rest.
  const std::span<const std::int32_t> both(tokens);
  const SequenceSlice fill{both.first(80), 0, pages_a, none};
  loaded.model->Forward({&fill, 1}, *loaded.kv, pool, {});
  const std::vector<std::int32_t> last = {9};
  const SequenceSlice rest{both.subspan(80), 80, pages_a, last};
  std::vector<float> logits(40);
  loaded.model->Forward({&rest, 1}, *loaded.kv, pool, logits);
  EXPECT_TRUE(SameBits(logits, RowOf(all, 89)));
}

TEST(Forward, RestoresAndIgnoresTheCallersFloatingPointEnvironment) {
  Loaded loaded(TinyModel("llama"));
  const std::vector<float> right = loaded.Run(SomeTokens(20, 6));
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040U | 0x2000U);  // flush-to-zero, denormals-are-zero, round down
  const std::vector<float> again = loaded.Run(SomeTokens(20, 6));
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(after & 0xE040U, (before | 0x8040U | 0x2000U) & 0xE040U);
  EXPECT_TRUE(SameBits(right, again));
}

// Rows of several tensors of a store one below the other, in place of them.
void Fuse(test::MemoryStore& store, const std::vector<std::string>& names, const std::string& fused,
          std::int64_t n_experts = 1) {
  std::vector<float> values;
  std::int64_t n_rows = 0, n_cols = 0;
  for (std::int64_t e = 0; e < n_experts; ++e) {
    for (const std::string& name : names) {
      const weights::TensorView& view = *store.Find(name);
      const auto size = view.data.size() / sizeof(float) / static_cast<std::size_t>(n_experts);
      const auto* first =
          reinterpret_cast<const float*>(view.data.data()) + static_cast<std::size_t>(e) * size;
      values.insert(values.end(), first, first + size);
      n_rows += view.n_rows() / n_experts;
      n_cols = view.n_cols();
    }
  }
  for (const std::string& name : names) store.Remove(name);
  store.SetExperts(fused, n_experts, n_rows / n_experts, n_cols, std::move(values));
}

TEST(Forward, FusedMatricesAreTheirParts) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    const std::vector<float> apart = Loaded(TinyModel(architecture)).Run(SomeTokens(30, 8));
    const auto store = TinyModel(architecture);
    for (const std::string b : {"blk.0.", "blk.1."}) {
      Fuse(*store, {b + "attn_q.weight", b + "attn_k.weight", b + "attn_v.weight"},
           b + "attn_qkv.weight");
      if (std::string(architecture) == "qwen3moe") {
        Fuse(*store, {b + "ffn_gate_exps.weight", b + "ffn_up_exps.weight"},
             b + "ffn_gate_up_exps.weight", 6);
      }
    }
    EXPECT_TRUE(SameBits(apart, Loaded(store).Run(SomeTokens(30, 8)))) << architecture;
  }
}

TEST(Forward, IsFiniteOnRandomWeights) {
  for (const char* architecture : {"llama", "qwen2", "gemma3", "qwen3moe"}) {
    for (const Activations activations : {Activations::kInt8, Activations::kF32}) {
      Loaded loaded(TinyModel(architecture), activations);
      for (const float logit : loaded.Run(SomeTokens(200, 7))) ASSERT_TRUE(std::isfinite(logit));
    }
  }
}

}  // namespace
}  // namespace tatara::model
